internal import CZlib
internal import SystemPackage

/// Inflates one entry of a zip archive, a buffer at a time. Memory use does not depend on the
/// inflated size.
@safe
final class Inflater {
    private let file: ForeignFile
    private let entry: ZipArchive.Entry
    private let stream: UnsafeMutablePointer<z_stream>
    private var input: [UInt8] = []
    private var inputOffset = 0
    private var fileOffset: Int
    private(set) var produced = 0
    private var checksum: UInt = 0
    private var isAtEnd = false
    private static let bufferBytes = 256 << 10

    init(_ entry: ZipArchive.Entry, of file: ForeignFile) throws(ExchangeError) {
        self.entry = entry
        self.file = file
        fileOffset = entry.range.lowerBound
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // A negative window size selects raw deflate, without the zlib header.
        let code = unsafe inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else {
            unsafe stream.deallocate()
            throw .refused(file.path.string, "zlib failed (code \(code)); it may lack memory")
        }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    private func damage(_ message: String) -> ExchangeError {
        .damage(file.path.string, "zip archive: entry \(quoted(entry.name)) \(message)")
    }

    /// Inflates the next bytes. At the end, length and checksum are compared with the archive's
    /// directory.
    ///
    /// - Parameter count: maximum number of bytes.
    /// - Returns: the bytes; empty at the end.
    /// - Throws: `ExchangeError` if the entry is damaged, or is larger than declared.
    func next(_ count: Int) throws(ExchangeError) -> [UInt8] {
        guard !isAtEnd else { return [] }
        var output = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count, !isAtEnd { filled += try step(&output, from: filled) }
        output.removeLast(count - filled)
        checksum = unsafe output.withUnsafeBufferPointer { unsafe crc32_z(checksum, $0.baseAddress, $0.count) }
        produced += filled
        guard produced <= entry.size else {
            throw damage("inflates to more than the declared \(entry.size) bytes")
        }
        if isAtEnd { try checkEnd() }
        return output
    }

    private func step(_ output: inout [UInt8], from start: Int) throws(ExchangeError) -> Int {
        try refill()
        let available = input.count - inputOffset
        var written = 0
        let code = unsafe input.withUnsafeMutableBufferPointer { source in
            unsafe output.withUnsafeMutableBufferPointer { destination in
                unsafe stream.pointee.next_in = source.baseAddress.map { unsafe $0 + inputOffset }
                unsafe stream.pointee.avail_in = UInt32(available)
                unsafe stream.pointee.next_out = destination.baseAddress.map { unsafe $0 + start }
                unsafe stream.pointee.avail_out = UInt32(destination.count - start)
                let code = unsafe inflate(stream, Z_NO_FLUSH)
                unsafe inputOffset += available - Int(stream.pointee.avail_in)
                unsafe written = destination.count - start - Int(stream.pointee.avail_out)
                return code
            }
        }
        if code == Z_STREAM_END { isAtEnd = true }
        let isStuck = code == Z_BUF_ERROR && written == 0 && fileOffset == entry.range.upperBound && inputOffset == input.count
        guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, !isStuck else {
            throw damage("cannot be inflated at byte \(produced + start)")
        }
        return written
    }

    private func refill() throws(ExchangeError) {
        guard inputOffset == input.count, fileOffset < entry.range.upperBound else { return }
        let count = min(Self.bufferBytes, entry.range.upperBound - fileOffset)
        input = try file.read(count: count, at: fileOffset)
        inputOffset = 0
        fileOffset += count
    }

    private func checkEnd() throws(ExchangeError) {
        guard produced == entry.size else {
            throw damage("inflates to \(produced) bytes, not the declared \(entry.size) bytes")
        }
        guard inputOffset == input.count, fileOffset == entry.range.upperBound else { throw damage("has bytes after its end") }
        guard UInt32(truncatingIfNeeded: checksum) == entry.crc32 else { throw damage("does not match its checksum") }
    }
}

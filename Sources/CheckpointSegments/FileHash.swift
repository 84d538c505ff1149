internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO

/// XXH3-128 of complete files. Memory use is independent of their size.
///
/// Any thread; it takes no lock.
package enum FileHash {
    /// Bytes read at a time.
    private static let partBytes = 4 << 20

    /// Hashes a file.
    ///
    /// - Parameters:
    ///   - file: the open file.
    ///   - onRead: called after each read with its bytes.
    /// - Returns: the XXH3-128 of its bytes.
    /// - Throws: `FileSystemError`, `OutOfMemory`, and the error of `onRead`.
    package static func of(
        _ file: any ReadableFile, onRead: (_ bytes: Int) throws -> Void = { _ in }
    ) throws -> Hash128 {
        var hash = HashStream()
        let buffer = try AlignedBuffer(count: min(partBytes, max(file.size, 1)), hugePages: false)
        for offset in stride(from: 0, to: file.size, by: partBytes) {
            let part = buffer.region.prefix(min(partBytes, file.size - offset))
            unsafe try file.read(into: part.mutableBytes, at: offset)
            hash.append(part)
            try onRead(part.count)
        }
        return hash.value
    }
}

internal import CheckpointFormat
internal import SystemPackage

/// Reader of numpy files: one array, or a zip archive of arrays.
enum NumpyReader {
    static func read(_ file: ForeignFile) throws(ExchangeError) -> ForeignCheckpoint {
        var checkpoint = ForeignCheckpoint(.npy)
        let name = file.path.stem ?? "array"
        checkpoint.tensors = [try tensor(name, file.lend(0..<file.size))]
        return checkpoint
    }

    static func readArchive(_ archive: ZipArchive, _ spill: Spill) throws(ExchangeError) -> ForeignCheckpoint {
        var checkpoint = ForeignCheckpoint(.npz)
        for entry in archive.entries {
            guard entry.name.hasSuffix(".npy") else {
                throw .refused(archive.file.path.string, "entry \(quoted(entry.name)) is no numpy file")
            }
            let name = String(entry.name.dropLast(4))
            if entry.isDeflated { try checkHeader(entry, archive.file) }
            let memory = entry.isDeflated ? try spill.inflate(entry, of: archive.file) : archive.file.lend(entry.range)
            if !entry.isDeflated { try Checksum.check(entry, archive.file) }
            checkpoint.tensors.append(try tensor(name, memory))
        }
        return checkpoint
    }

    private static func tensor(_ name: String, _ memory: FileMemory) throws(ExchangeError) -> ForeignTensor {
        let file = memory.file
        let header = try header(name, file.path.string, memory.range.count) { count throws(ExchangeError) in
            try file.read(count: count, at: memory.range.lowerBound)
        }
        let data = memory.range.lowerBound + header.dataOffset..<memory.range.upperBound
        return try ForeignTensor(name, header.type, header.shape, strides: header.strides, in: file.lend(data))
    }

    /// Compares the size of a deflated array with its header before the array is inflated.
    private static func checkHeader(_ entry: ZipArchive.Entry, _ file: ForeignFile) throws(ExchangeError) {
        let beginning = try Inflater(entry, of: file).next(min(entry.size, NumpyHeader.prefixBytes + ExchangeLimits.numpyHeaderBytesMax))
        _ = try header(entry.name, file.path.string, entry.size) { count throws(ExchangeError) in Array(beginning.prefix(count)) }
    }

    private static func header(
        _ name: String, _ path: String, _ size: Int, _ read: (Int) throws(ExchangeError) -> [UInt8]
    ) throws(ExchangeError) -> NumpyHeader {
        let prefix = try read(min(size, NumpyHeader.prefixBytes))
        do throws(FormatError) {
            let (text, data) = try NumpyHeader.dataOffset(prefix[...])
            guard data <= size else { throw .damage(at: 8, "the header does not fit the \(size) bytes of the file") }
            let bytes: [UInt8]
            do throws(ExchangeError) { bytes = try read(data) } catch { throw .damage(at: 0, error.message) }
            guard bytes.count == data else { throw .damage(at: 8, "the header is cut short") }
            let header = try NumpyHeader(bytes[text...], dataOffset: data)
            guard header.bytes == size - data else {
                let tensor = "\(shown(header.shape)) of \(header.type)"
                throw .damage(at: data, "\(tensor) takes \(header.bytes) bytes, and there are \(size - data)")
            }
            return header
        } catch {
            let message = "array \(quoted(name)): \(error.message)"
            throw error.kind == .unsupported ? .refused(path, message) : .damage(path, message)
        }
    }
}

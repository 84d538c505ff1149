internal import CheckpointFormat
internal import SystemPackage

/// Reader of numpy files: one array, or a zip archive of arrays.
struct NumpyReader {
    let options: ReadingOptions
    static let skipRemedy = "Give --skip-objects to import the other arrays"

    func read(_ file: ForeignFile) throws(ExchangeError) -> ForeignCheckpoint {
        var checkpoint = ForeignCheckpoint(.npy)
        let name = file.path.stem ?? "array"
        try add(name, file.lend(0..<file.size), to: &checkpoint)
        return checkpoint
    }

    func readArchive(_ archive: ZipArchive, _ spill: Spill) throws(ExchangeError)
        -> ForeignCheckpoint
    {
        guard
            archive.entries.contains(where: { $0.name.hasSuffix(".npy") })
                || archive.entries.isEmpty
        else {
            throw KnownFile.error(ofZip: archive)
        }
        var checkpoint = ForeignCheckpoint(.npz)
        for entry in archive.entries {
            do throws(ExchangeError) { try add(entry, of: archive, spill, to: &checkpoint) } catch {
                guard case .refused = error.kind else { throw error }
                guard options.skipsObjects else {
                    throw ExchangeError(
                        error.kind, error.path, error.message,
                        remedy: error.remedy ?? Self.skipRemedy)
                }
                checkpoint.leftOut.append(LeftOut(name: entry.name, error))
            }
        }
        return checkpoint
    }

    private func add(
        _ entry: ZipArchive.Entry, of archive: ZipArchive, _ spill: Spill,
        to checkpoint: inout ForeignCheckpoint
    ) throws(ExchangeError) {
        guard entry.name.hasSuffix(".npy") else {
            throw .refused(
                archive.file.path.string, "entry \(quoted(entry.name)) is not a .npy array")
        }
        if entry.isDeflated { try checkHeader(entry, archive.file) }
        let memory =
            entry.isDeflated
            ? try spill.inflate(entry, of: archive.file) : archive.file.lend(entry.range)
        if !entry.isDeflated { try Checksum.check(entry, archive.file) }
        try add(String(entry.name.dropLast(4)), memory, to: &checkpoint)
    }

    private func add(_ name: String, _ memory: FileMemory, to checkpoint: inout ForeignCheckpoint)
        throws(ExchangeError)
    {
        let file = memory.file
        let header = try header(name, file.path.string, memory.range.count) {
            count throws(ExchangeError) in
            try file.read(count: count, at: memory.range.lowerBound)
        }
        let data = memory.range.lowerBound + header.dataOffset..<memory.range.upperBound
        checkpoint.tensors.append(
            try ForeignTensor(
                name, header.type, header.shape, strides: header.strides, in: file.lend(data)))
        if let note = header.note {
            checkpoint.notes.append("\(file.path): array \(quoted(name)): \(note)")
        }
    }

    /// Compares the size of a deflated array with its header before the array is inflated.
    private func checkHeader(_ entry: ZipArchive.Entry, _ file: ForeignFile) throws(ExchangeError) {
        let beginning = try Inflater(entry, of: file).next(
            min(entry.size, NumpyHeader.prefixBytes + ExchangeLimits.numpyHeaderBytesMax))
        _ = try header(entry.name, file.path.string, entry.size) { count throws(ExchangeError) in
            Array(beginning.prefix(count))
        }
    }

    private func header(
        _ name: String, _ path: String, _ size: Int, _ read: (Int) throws(ExchangeError) -> [UInt8]
    ) throws(ExchangeError) -> NumpyHeader {
        let prefix = try read(min(size, NumpyHeader.prefixBytes))
        do throws(FormatError) {
            let (text, data) = try NumpyHeader.dataOffset(prefix[...])
            guard data <= size else {
                throw .damage(at: 8, "the header is longer than the file, which has \(size) bytes")
            }
            let bytes: [UInt8]
            do throws(ExchangeError) { bytes = try read(data) } catch {
                throw .damage(at: 0, error.message)
            }
            guard bytes.count == data else { throw .damage(at: 8, "the header is truncated") }
            let header = try NumpyHeader(
                bytes[text...], dataOffset: data, voidType: options.voidType)
            guard header.bytes == size - data else {
                let tensor = "\(shown(header.shape)) of \(header.type)"
                throw .damage(
                    at: data, "\(tensor) takes \(header.bytes) bytes; the file has \(size - data)")
            }
            return header
        } catch {
            let message = "array \(quoted(name)): \(error.message)"
            throw error.kind == .unsupported ? .refused(path, message) : .damage(path, message)
        }
    }
}

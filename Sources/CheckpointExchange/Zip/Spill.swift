internal import CheckpointFormat
internal import CheckpointIO
internal import SystemPackage

/// An unnamed file for inflated tensors. It is needed because the engine reads a tensor in any
/// order, and deflate can only be read from the start.
final class Spill {
    private let directory: FilePath?
    private let files: any FileSystem
    private var file: (writer: any WritableFile, reader: any ReadableFile, path: FilePath)?
    private var end = 0
    /// Entries that are inflated already, because many tensors may share one.
    private var inflated: [Origin: FileMemory] = [:]
    /// Number of bytes inflated from each file.
    private var produced: [FilePath: Int] = [:]

    private struct Origin: Hashable {
        var path: FilePath
        var range: Range<Int>
        var size: Int
        var crc32: UInt32
    }

    /// Creates a spill. The file is created when it is first needed.
    ///
    /// - Parameters:
    ///   - directory: directory for the file; nil if nothing may be written, and so nothing
    ///     inflated.
    ///   - files: the file system.
    init(in directory: FilePath?, _ files: any FileSystem) {
        self.directory = directory
        self.files = files
    }

    /// Inflates an entry, or returns the result of an earlier call.
    ///
    /// - Parameters:
    ///   - entry: an entry whose size has been compared with its expected content.
    ///   - source: the file of the archive.
    /// - Returns: the inflated bytes.
    /// - Throws: `ExchangeError` if the entry is damaged, or the directory has not enough space.
    func inflate(_ entry: ZipArchive.Entry, of source: ForeignFile) throws(ExchangeError)
        -> FileMemory
    {
        let origin = Origin(
            path: source.path, range: entry.range, size: entry.size, crc32: entry.crc32)
        if let memory = inflated[origin] { return memory }
        try checkRatio(entry, source)
        guard let directory else {
            throw ExchangeError(
                .notInflated, source.path.string, "entry \(quoted(entry.name)) is compressed")
        }
        try checkRoom(entry, source, directory)
        let memory: FileMemory
        do throws(ExchangeError) { memory = try write(entry, of: source, directory) } catch {
            guard case .file = error.kind else { throw error }
            throw ExchangeError(
                error.kind, source.path.string,
                "entry \(quoted(entry.name)) could not be inflated: \(error.message)")
        }
        inflated[origin] = memory
        produced[source.path, default: 0] += entry.size
        return memory
    }

    private func write(
        _ entry: ZipArchive.Entry, of source: ForeignFile, _ directory: FilePath
    ) throws(ExchangeError) -> FileMemory {
        let file = try open(directory)
        let inflater = try Inflater(entry, of: source)
        let start = end
        while true {
            let bytes = try inflater.next(1 << 20)
            if bytes.isEmpty { break }
            try exchanging { () throws(FileSystemError) in try file.writer.write(bytes, at: end) }
            end += bytes.count
        }
        return ForeignFile(source.path, file.reader, size: end).lend(start..<end)
    }

    /// Refuses an entry that is larger than deflate can produce from its stored bytes, and entries
    /// that together are larger than deflate can produce from the file.
    private func checkRatio(_ entry: ZipArchive.Entry, _ source: ForeignFile) throws(ExchangeError)
    {
        let path = source.path.string
        guard entry.size / ExchangeLimits.deflateRatioMax <= entry.range.count + 64 else {
            let message =
                "cannot be \(entry.size) bytes long: its stored size is \(entry.range.count)"
            throw .damage(path, "zip archive: entry \(quoted(entry.name)) \(message)")
        }
        guard
            (produced[source.path, default: 0] + entry.size) / ExchangeLimits.deflateRatioMax
                <= source.size
        else {
            throw .refused(
                path,
                "its entries inflate to more than deflate can store in \(source.size) bytes: "
                    + "entries share bytes"
            )
        }
    }

    private func checkRoom(_ entry: ZipArchive.Entry, _ source: ForeignFile, _ directory: FilePath)
        throws(ExchangeError)
    {
        let room = try exchanging { () throws(FileSystemError) in
            try files.availableBytes(at: directory)
        }
        guard entry.size <= room else {
            throw ExchangeError(
                .file(FileSystemError("inflating", directory, .noSpace)), source.path.string,
                "entry \(quoted(entry.name)) inflates to \(entry.size) bytes, and \(directory) has \(room) free"
            )
        }
    }

    private func open(_ directory: FilePath) throws(ExchangeError) -> (
        writer: any WritableFile, reader: any ReadableFile, path: FilePath
    ) {
        if let file { return file }
        let made = try exchanging { () throws(FileSystemError) in
            let path = directory.appending(".ckpt-\(CheckpointID.random())")
            let writer = try files.create(path)
            let reader = try files.open(path)
            try files.remove(path)
            return (writer, reader, path)
        }
        file = made
        return made
    }
}

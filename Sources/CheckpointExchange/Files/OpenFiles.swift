internal import CheckpointIO
internal import SystemPackage

/// The files that an import reads. Only the most recently used ones are open, because a checkpoint
/// can have more files than a process may have descriptors.
final class OpenFiles: Sendable {
    /// Maximum number of files that are open at one time. Systems allow 1024 descriptors, or 256.
    static let openMax = 128

    private struct State {
        var count = 0
        /// All files that were opened, in that order, each once.
        var known: [(path: FilePath, size: Int)] = []
        var names: Set<FilePath> = []
        /// Open files with the time of their last use, by number.
        var open: [Int: (file: any ReadableFile, lastUse: Int)] = [:]
        var time = 0
    }

    private let files: any FileSystem
    private let state = Monitor(State())

    init(_ files: any FileSystem) { self.files = files }

    /// A file that was opened: its number here, and its size and identity at that time.
    struct Entry: Sendable {
        let path: FilePath
        let size: Int
        fileprivate let number: Int
        fileprivate let identity: FileIdentity?
    }

    /// Opens a file for the first time.
    ///
    /// - Parameter path: the file.
    /// - Returns: the entry to read and close it with.
    /// - Throws: `FileSystemError` if the file does not exist or cannot be read.
    func open(_ path: FilePath) throws(FileSystemError) -> Entry {
        let identity = try files.identity(of: path)
        let file = try files.open(path)
        return state.withLock { state in
            state.count += 1
            if state.names.insert(path).inserted { state.known.append((path, file.size)) }
            Self.keep(file, state.count, &state)
            return Entry(path: path, size: file.size, number: state.count, identity: identity)
        }
    }

    /// All files that were opened, with their sizes, in that order, each once.
    var known: [(path: FilePath, size: Int)] { state.withLock(\.known) }

    /// Returns the open file, and reopens it if necessary.
    ///
    /// - Parameter entry: a file that was opened before.
    /// - Returns: the file.
    /// - Throws: `FileSystemError` if the file cannot be opened, or another file now has its name.
    func file(_ entry: Entry) throws(FileSystemError) -> any ReadableFile {
        if let file = state.withLock({ Self.use(entry.number, &$0) }) { return file }
        let file = try files.open(entry.path)
        guard let identity = try files.identity(of: entry.path), let first = entry.identity, identity.isSame(as: first),
            file.size == entry.size
        else { throw FileSystemError("reopening", entry.path, .noSuchFileOrDirectory) }
        state.withLock { Self.keep(file, entry.number, &$0) }
        return file
    }

    func close(_ entry: Entry) { state.withLock { _ = $0.open.removeValue(forKey: entry.number) } }

    private static func use(_ number: Int, _ state: inout State) -> (any ReadableFile)? {
        state.time += 1
        state.open[number]?.lastUse = state.time
        return state.open[number]?.file
    }

    /// Keeps a file open in place of the least recently used one. A thread that is reading the
    /// latter holds a reference to it until it has finished.
    private static func keep(_ file: any ReadableFile, _ number: Int, _ state: inout State) {
        if state.open.count >= openMax, let oldest = state.open.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            state.open[oldest.key] = nil
        }
        state.time += 1
        state.open[number] = (file, state.time)
    }
}

internal import CheckpointIO
internal import SystemPackage

/// Files that are read, the latest of them open: a checkpoint can have more files than a process may have descriptors.
final class OpenFiles: Sendable {
    /// How many are open at once. Systems allow 1024 descriptors, or 256.
    static let openMax = 128

    private struct State {
        var count = 0
        /// By number, with the time of their last use.
        var open: [Int: (file: any ReadableFile, lastUse: Int)] = [:]
        var time = 0
    }

    private let files: any FileSystem
    private let state = Monitor(State())

    init(_ files: any FileSystem) { self.files = files }

    /// A file that was opened, by its number here and by what it was then.
    struct Entry: Sendable {
        let path: FilePath
        let size: Int
        fileprivate let number: Int
        fileprivate let identity: FileIdentity?
    }

    /// - Throws: if there is no such file, or it cannot be read.
    func open(_ path: FilePath) throws(FileSystemError) -> Entry {
        let identity = try files.identity(of: path)
        let file = try files.open(path)
        return state.withLock { state in
            state.count += 1
            Self.keep(file, state.count, &state)
            return Entry(path: path, size: file.size, number: state.count, identity: identity)
        }
    }

    /// The file, opened again if that is needed.
    /// - Throws: also if another file has its name by now.
    func file(_ entry: Entry) throws(FileSystemError) -> any ReadableFile {
        if let file = state.withLock({ Self.use(entry.number, &$0) }) { return file }
        let file = try files.open(entry.path)
        guard let identity = try files.identity(of: entry.path), let first = entry.identity, identity.isSame(as: first),
            file.size == entry.size
        else { throw FileSystemError("open(2), again,", entry.path, .noSuchFileOrDirectory) }
        state.withLock { Self.keep(file, entry.number, &$0) }
        return file
    }

    func close(_ entry: Entry) { state.withLock { _ = $0.open.removeValue(forKey: entry.number) } }

    private static func use(_ number: Int, _ state: inout State) -> (any ReadableFile)? {
        state.time += 1
        state.open[number]?.lastUse = state.time
        return state.open[number]?.file
    }

    /// In the place of that which has been used least lately. Whoever reads that one has it until it is read.
    private static func keep(_ file: any ReadableFile, _ number: Int, _ state: inout State) {
        if state.open.count >= openMax, let oldest = state.open.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            state.open[oldest.key] = nil
        }
        state.time += 1
        state.open[number] = (file, state.time)
    }
}

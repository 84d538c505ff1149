package import CheckpointIO
package import SystemPackage

/// A file system in memory that simulates crashes.
///
/// Contents and directory entries exist twice: as programs see them, and as the disk holds them.
/// `sync` copies a file's content from the first to the second, `syncDirectory` a directory's
/// entries. `crashed` returns the file system after a reboot: everything that was synced, and a
/// random selection of everything else.
package final class InMemoryFileSystem: FileSystem {
    enum Entry: Equatable {
        case file(Int)
        case directory
    }

    struct Node {
        var bytes: [UInt8] = []
        var durable: [UInt8] = []
    }

    struct State {
        var nodes: [Int: Node] = [:]
        var nextNode = 0
        var entries: [String: [String: Entry]] = ["": [:]]
        var durableEntries: [String: [String: Entry]] = ["": [:]]
        var locked: Set<FilePath> = []
        /// Open files that hold a lock on their node, as flock(2) does, by number.
        var holds: [Int: Hold] = [:]
        var nextHold = 0
        /// What the holders of locks have recorded.
        var records: [FilePath: [UInt8]] = [:]
    }

    /// The lock of an open file.
    struct Hold {
        var node: Int
        var isExclusive: Bool
    }

    let state: Monitor<State>
    /// Maximum total size of all files in bytes; nil means no limit.
    private let capacity: Int?

    /// Creates an empty file system.
    ///
    /// - Parameter capacity: maximum total size of all files in bytes; nil means no limit.
    package init(capacity: Int? = nil) {
        self.capacity = capacity
        state = Monitor(State(), rank: .unchecked)
    }

    init(state: State) {
        capacity = nil
        self.state = Monitor(state, rank: .unchecked)
    }

    // MARK: FileSystem

    package func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile {
        let node = try change("open", path) { state, name, directory throws(FileSystemError) in
            guard state.entries[directory]?[name] == nil else { throw FileSystemError("open(2)", path, .fileExists) }
            let node = state.nextNode
            state.nextNode += 1
            state.nodes[node] = Node()
            state.entries[directory]?[name] = .file(node)
            return node
        }
        return File(fileSystem: self, node: node, path: path, size: 0)
    }

    package func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile {
        let (node, size) = try find(path)
        guard let hold = hold(node, exclusively: false) else {
            throw FileSystemError("flock(2)", path, .noSuchFileOrDirectory)
        }
        return File(fileSystem: self, node: node, path: path, size: size, hold: hold)
    }

    package func reopen(_ path: FilePath) throws(FileSystemError) -> (any WritableFile)? {
        let node = try find(path).node
        return hold(node, exclusively: true).map {
            File(fileSystem: self, node: node, path: path, size: 0, hold: $0)
        }
    }

    /// Locks a file that is open, and returns the number of the hold; nil if the lock of another one
    /// excludes it.
    private func hold(_ node: Int, exclusively: Bool) -> Int? {
        state.withLock { state in
            let isExcluded = state.holds.values.contains {
                $0.node == node && ($0.isExclusive || exclusively)
            }
            guard !isExcluded else { return nil }
            defer { state.nextHold += 1 }
            state.holds[state.nextHold] = Hold(node: node, isExclusive: exclusively)
            return state.nextHold
        }
    }

    private func find(_ path: FilePath) throws(FileSystemError) -> (node: Int, size: Int) {
        try state.withLock { state throws(FileSystemError) in
            guard case .file(let node)? = state.entry(path), let size = state.nodes[node]?.bytes.count else {
                throw FileSystemError("open(2)", path, .noSuchFileOrDirectory)
            }
            return (node, size)
        }
    }

    package func list(_ directory: FilePath) throws(FileSystemError) -> [String] {
        try state.withLock { state throws(FileSystemError) in
            guard let entries = state.entries[Self.key(directory)] else {
                throw FileSystemError("opendir(3)", directory, .noSuchFileOrDirectory)
            }
            return Array(entries.keys)
        }
    }

    package func kind(of path: FilePath) throws(FileSystemError) -> FileKind? {
        state.withLock { state in
            if state.entries[Self.key(path)] != nil { return .directory }
            return state.entry(path) == nil ? nil : .file
        }
    }

    package func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity? {
        state.withLock { state in
            guard case .file(let node)? = state.entry(path) else { return nil }
            let names = state.entries.values.reduce(0) { $0 + $1.values.count { $0 == .file(node) } }
            return FileIdentity(device: 0, number: UInt64(node), names: names)
        }
    }

    package func makeDirectory(_ path: FilePath) throws(FileSystemError) {
        try change("mkdir", path) { state, name, directory throws(FileSystemError) in
            if state.entries[Self.key(path)] != nil { return }
            state.entries[directory]?[name] = .directory
            state.entries[Self.key(path)] = [:]
        }
    }

    package func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError) {
        try change("link", new) { state, name, directory throws(FileSystemError) in
            guard let entry = state.entry(existing) else { throw FileSystemError("link(2)", existing, .noSuchFileOrDirectory) }
            guard state.entries[directory]?[name] == nil else { throw FileSystemError("link(2)", new, .fileExists) }
            state.entries[directory]?[name] = entry
        }
    }

    package func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError) {
        let (oldDirectory, oldName) = Self.split(existing)
        try change("rename", new) { state, name, directory throws(FileSystemError) in
            guard let entry = state.entry(existing) else { throw FileSystemError("rename(2)", existing, .noSuchFileOrDirectory) }
            state.entries[directory]?[name] = entry
            state.entries[oldDirectory]?[oldName] = nil
            // A directory is renamed in both worlds at once; a crash may still lose its new name.
            let (old, new) = (Self.key(existing), Self.key(new))
            for (all, value) in state.entries where all == old { state.entries[new] = value }
            state.entries[old] = nil
            state.durableEntries[new] = state.durableEntries.removeValue(forKey: old)
        }
    }

    package func removeDirectory(_ path: FilePath) throws(FileSystemError) {
        try change("rmdir", path) { state, name, directory throws(FileSystemError) in
            guard state.entries[Self.key(path)]?.isEmpty ?? false else {
                throw FileSystemError("rmdir(2)", path, .directoryNotEmpty)
            }
            state.entries[Self.key(path)] = nil
            state.entries[directory]?[name] = nil
        }
    }

    package func remove(_ path: FilePath) throws(FileSystemError) {
        try change("unlink", path) { state, name, directory throws(FileSystemError) in
            guard state.entries[directory]?.removeValue(forKey: name) != nil else {
                throw FileSystemError("unlink(2)", path, .noSuchFileOrDirectory)
            }
        }
    }

    package func syncDirectory(_ path: FilePath) throws(FileSystemError) {
        try state.withLock { state throws(FileSystemError) in
            guard let entries = state.entries[Self.key(path)] else {
                throw FileSystemError("fsync(2)", path, .noSuchFileOrDirectory)
            }
            state.durableEntries[Self.key(path)] = entries
        }
    }

    package func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)? {
        let isNew = state.withLock { $0.locked.insert(path).inserted }
        return isNew ? Lock(fileSystem: self, path: path) : nil
    }

    package func record(inLock path: FilePath) -> [UInt8]? { state.withLock { $0.records[path] } }

    package func availableBytes(at path: FilePath) -> Int {
        guard let capacity else { return .max }
        return state.withLock { max(capacity - $0.usedBytes, 0) }
    }

    private func change<R>(
        _ operation: String, _ path: FilePath,
        _ body: (inout State, String, String) throws(FileSystemError) -> R
    ) throws(FileSystemError) -> R {
        let (directory, name) = Self.split(path)
        return try state.withLock { state throws(FileSystemError) in
            guard state.entries[directory] != nil else { throw FileSystemError(operation, path, .noSuchFileOrDirectory) }
            return try body(&state, name, directory)
        }
    }

    /// Returns the key of a directory in `entries`; the root's key is the empty string.
    private static func key(_ directory: FilePath) -> String { directory.string == "/" ? "" : directory.string }

    /// Splits a path into directory and name. (`FilePath` can do this too, but is a thousand times
    /// slower in a debug build.)
    fileprivate static func split(_ path: FilePath) -> (directory: String, name: String) {
        let text = path.string
        guard let slash = text.lastIndex(of: "/") else { preconditionFailure("\(text) is not absolute") }
        return (String(text[..<slash]), String(text[text.index(after: slash)...]))
    }

    // MARK: Crashing

    /// Returns the file system after a crash and a reboot.
    ///
    /// - Parameter random: decides for everything that was not synced whether it survives.
    /// - Returns: a new file system without locks.
    package func crashed(_ random: inout some RandomNumberGenerator) -> InMemoryFileSystem {
        let copy = state.withLock { $0 }
        var after = State()
        after.nextNode = copy.nextNode
        for (directory, live) in copy.entries.sorted(by: { $0.key < $1.key }) {
            let durable = copy.durableEntries[directory] ?? [:]
            var survivors: [String: Entry] = [:]
            for name in Set(live.keys).union(durable.keys).sorted() {
                let isLive = live[name] == durable[name] || Bool.random(using: &random)
                survivors[name] = isLive ? live[name] : durable[name]
            }
            after.entries[directory] = survivors
        }
        after.dropUnreachable()
        after.durableEntries = after.entries
        for (id, node) in copy.nodes { after.nodes[id] = node.crashed(&random) }
        return InMemoryFileSystem(state: after)
    }

    // MARK: Tampering

    /// All files with their contents.
    package var files: [FilePath: [UInt8]] {
        state.withLock { state in
            var files: [FilePath: [UInt8]] = [:]
            for (directory, entries) in state.entries {
                for case (let name, .file(let node)) in entries { files[FilePath(directory + "/" + name)] = state.nodes[node]?.bytes }
            }
            return files
        }
    }

    /// Replaces a file's content, also on the disk, without any recorded operation.
    ///
    /// - Parameters:
    ///   - path: an existing file.
    ///   - bytes: the new content.
    package func overwrite(_ path: FilePath, with bytes: [UInt8]) {
        state.withLock { state in
            guard case .file(let node)? = state.entry(path) else { preconditionFailure("no file \(path)") }
            state.nodes[node] = Node(bytes: bytes, durable: bytes)
        }
    }

    fileprivate func write(_ bytes: [UInt8], to node: Int, at offset: Int, _ path: FilePath) throws(FileSystemError) {
        try state.withLock { state throws(FileSystemError) in
            let end = offset + bytes.count
            let growth = max(end - (state.nodes[node]?.bytes.count ?? 0), 0)
            if let capacity, state.usedBytes + growth > capacity { throw FileSystemError("pwrite(2)", path, .noSpace) }
            state.nodes[node]?.bytes.append(contentsOf: [UInt8](repeating: 0, count: growth))
            state.nodes[node]?.bytes.replaceSubrange(offset..<end, with: bytes)
        }
    }

    fileprivate func truncate(_ node: Int, to count: Int) {
        state.withLock { state in
            let size = state.nodes[node]?.bytes.count ?? 0
            if count < size { state.nodes[node]?.bytes.removeLast(size - count) }
            if count > size { state.nodes[node]?.bytes.append(contentsOf: [UInt8](repeating: 0, count: count - size)) }
        }
    }

    fileprivate func read(_ node: Int, _ range: Range<Int>) -> ArraySlice<UInt8>? {
        state.withLock { state in
            guard let bytes = state.nodes[node]?.bytes, range.upperBound <= bytes.count else { return nil }
            return bytes[range]
        }
    }

    fileprivate func sync(_ node: Int) {
        state.withLock { state in
            guard let bytes = state.nodes[node]?.bytes else { return }
            state.nodes[node]?.durable = bytes
        }
    }

    fileprivate func release(_ hold: Int) { state.withLock { $0.holds[hold] = nil } }

    fileprivate func unlock(_ path: FilePath) { state.withLock { _ = $0.locked.remove(path) } }

    private final class Lock: FileLock {
        private let fileSystem: InMemoryFileSystem
        private let path: FilePath

        init(fileSystem: InMemoryFileSystem, path: FilePath) {
            self.fileSystem = fileSystem
            self.path = path
        }

        func record(_ bytes: [UInt8]) { fileSystem.state.withLock { $0.records[path] = bytes } }

        deinit { fileSystem.unlock(path) }
    }

    private final class File: WritableFile, ReadableFile {
        private let fileSystem: InMemoryFileSystem
        private let node: Int
        private let path: FilePath
        let size: Int
        /// Number of the lock; nil for a new file, which nobody else knows.
        private let hold: Int?

        init(
            fileSystem: InMemoryFileSystem, node: Int, path: FilePath, size: Int, hold: Int? = nil
        ) {
            self.fileSystem = fileSystem
            self.node = node
            self.path = path
            self.size = size
            self.hold = hold
        }

        deinit { close() }

        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
            unsafe try fileSystem.write(Array(bytes), to: node, at: offset, path)
        }

        func truncate(to count: Int) throws(FileSystemError) { fileSystem.truncate(node, to: count) }
        func sync() throws(FileSystemError) { fileSystem.sync(node) }
        func close() { if let hold { fileSystem.release(hold) } }

        func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
            guard let found = fileSystem.read(node, offset..<offset + bytes.count) else {
                throw FileSystemError("pread(2) past the end", path, .outOfRange)
            }
            unsafe bytes.copyBytes(from: found)
        }
    }
}

extension InMemoryFileSystem.State {
    func entry(_ path: FilePath) -> InMemoryFileSystem.Entry? {
        let (directory, name) = InMemoryFileSystem.split(path)
        return entries[directory]?[name]
    }

    var usedBytes: Int { nodes.values.reduce(0) { $0 + $1.bytes.count } }

    /// Removes directories whose own entry did not survive, and everything in them.
    mutating func dropUnreachable() {
        for directory in entries.keys.sorted() where directory != "" {
            if entry(FilePath(directory)) != .directory { entries[directory] = nil }
        }
        for (directory, names) in entries {
            entries[directory] = names.filter { $0.value != .directory || entries[directory + "/" + $0.key] != nil }
        }
    }
}

extension InMemoryFileSystem.Node {
    /// Returns the node after a crash. Each 512-byte sector of unsynced content survives or is lost
    /// independently, and so does the length.
    func crashed(_ random: inout some RandomNumberGenerator) -> InMemoryFileSystem.Node {
        guard bytes != durable else { return self }
        let length = Bool.random(using: &random) ? bytes.count : durable.count
        var after: [UInt8] = []
        while after.count < length {
            let sector = after.count..<min(after.count + 512, length)
            let source = Bool.random(using: &random) ? bytes : durable
            after += source[min(sector.lowerBound, source.count)..<min(sector.upperBound, source.count)]
            after += repeatElement(0, count: sector.upperBound - after.count)
        }
        return InMemoryFileSystem.Node(bytes: after, durable: after)
    }
}

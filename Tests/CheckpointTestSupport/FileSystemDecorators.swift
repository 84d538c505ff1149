package import CheckpointIO
internal import Glibc
internal import Synchronization
package import SystemPackage

/// An operation on a file system. Decorators see every operation before it is executed.
package struct FileOperation: Sendable, Equatable, CustomStringConvertible {
    package var verb: String
    package var path: FilePath

    package var description: String { "\(verb) \(path)" }
}

/// File system that calls `before` for every operation that changes something. `before` may refuse,
/// delay or record the operation.
package final class HookedFileSystem<Base: FileSystem>: FileSystem {
    package let base: Base
    private let before: @Sendable (FileOperation) throws(FileSystemError) -> Void

    /// Wraps a file system.
    ///
    /// - Parameters:
    ///   - base: the file system that executes the operations.
    ///   - before: called before each operation, on the thread of the caller; if it throws, the
    ///     operation fails with its error.
    package init(_ base: Base, before: @escaping @Sendable (FileOperation) throws(FileSystemError) -> Void) {
        self.base = base
        self.before = before
    }

    fileprivate func ask(_ verb: String, _ path: FilePath) throws(FileSystemError) {
        // Under a lock of the segment writer, say. Some hooks save in another store meanwhile.
        try HeldLocks.settingAside { () throws(FileSystemError) in
            try before(FileOperation(verb: verb, path: path))
        }
    }

    package func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile {
        try ask("create", path)
        return HookedFile(try base.create(path), path) { verb, path throws(FileSystemError) in try self.ask(verb, path) }
    }

    package func reopen(_ path: FilePath) throws(FileSystemError) -> (any WritableFile)? {
        try ask("reopen", path)
        return try base.reopen(path).map { HookedFile($0, path) { verb, path throws(FileSystemError) in try self.ask(verb, path) } }
    }

    package func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile { try base.open(path) }
    package func list(_ directory: FilePath) throws(FileSystemError) -> [String] { try base.list(directory) }
    package func kind(of path: FilePath) throws(FileSystemError) -> FileKind? { try base.kind(of: path) }
    package func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity? { try base.identity(of: path) }
    package func resolved(_ path: FilePath) throws(FileSystemError) -> FilePath { try base.resolved(path) }

    package func makeDirectory(_ path: FilePath) throws(FileSystemError) {
        try ask("mkdir", path)
        try base.makeDirectory(path)
    }

    package func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError) {
        try ask("link", new)
        try base.link(existing, to: new)
    }

    package func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError) {
        try ask("rename", new)
        try base.replace(new, with: existing)
    }

    package func remove(_ path: FilePath) throws(FileSystemError) {
        try ask("remove", path)
        try base.remove(path)
    }

    package func removeDirectory(_ path: FilePath) throws(FileSystemError) {
        try ask("rmdir", path)
        try base.removeDirectory(path)
    }

    package func syncDirectory(_ path: FilePath) throws(FileSystemError) {
        try ask("syncdir", path)
        try base.syncDirectory(path)
    }

    package func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)? { try base.lock(path) }
    package func record(inLock path: FilePath) -> [UInt8]? { base.record(inLock: path) }
    package func availableBytes(at path: FilePath) throws(FileSystemError) -> Int { try base.availableBytes(at: path) }
}

private final class HookedFile: WritableFile {
    private let base: any WritableFile
    private let path: FilePath
    private let ask: @Sendable (String, FilePath) throws(FileSystemError) -> Void

    init(
        _ base: any WritableFile, _ path: FilePath,
        ask: @escaping @Sendable (String, FilePath) throws(FileSystemError) -> Void
    ) {
        self.base = base
        self.path = path
        self.ask = ask
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        try ask("write \(offset)+\(bytes.count)", path)
        unsafe try base.write(bytes, at: offset)
    }

    func truncate(to count: Int) throws(FileSystemError) {
        try ask("truncate", path)
        try base.truncate(to: count)
    }

    func sync() throws(FileSystemError) {
        try ask("sync", path)
        try base.sync()
    }

    func close() { base.close() }
}

/// Counter of operations that makes some of them fail.
package final class FaultCounter: Sendable {
    private let count = Atomic(0)

    package init() {}

    package var operations: Int { count.load(ordering: .relaxed) }

    /// Returns a hook that lets operations succeed, and then fails.
    ///
    /// - Parameters:
    ///   - k: number of operations that succeed first.
    ///   - errno: error of the failures.
    ///   - forEver: whether all later operations fail; otherwise only one does.
    /// - Returns: a hook for `HookedFileSystem`.
    package func hook(
        failAt k: Int, _ errno: Errno, forEver: Bool
    ) -> @Sendable (FileOperation) throws(FileSystemError) -> Void {
        { operation throws(FileSystemError) in
            let index = self.count.wrappingAdd(1, ordering: .relaxed).oldValue
            if index == k || (forEver && index > k) {
                throw FileSystemError("injected \(operation.verb)", operation.path, errno)
            }
        }
    }
}

/// Sleeps, for tests that need a slow disk.
///
/// - Parameter milliseconds: time to sleep.
package func sleepMilliseconds(_ milliseconds: Double) { usleep(UInt32(milliseconds * 1000)) }

/// List of the operations executed so far.
package final class OperationLog: Sendable {
    fileprivate let operations = Monitor<[FileOperation]>([], rank: .unchecked)

    package init() {}

    package var all: [FileOperation] { operations.withLock { $0 } }

    package var hook: @Sendable (FileOperation) throws(FileSystemError) -> Void {
        { operation throws(FileSystemError) in self.operations.withLock { $0.append(operation) } }
    }
}

extension OperationLog {
    /// Returns the real file system with one failing operation. All operations are recorded here.
    ///
    /// - Parameter k: number of the failing operation, from 0; nil means that none fails.
    /// - Returns: the file system. Operations before and after the failing one work.
    package func fileSystem(failingAt k: Int?) -> HookedFileSystem<POSIXFileSystem> {
        HookedFileSystem(POSIXFileSystem()) { operation throws(FileSystemError) in
            let index = self.operations.withLock { operations in
                operations.append(operation)
                return operations.count - 1
            }
            if index == k { throw FileSystemError(operation.verb, operation.path, .ioError) }
        }
    }

    /// The operations without offsets and paths.
    package var verbs: [String] { all.map { String($0.verb.prefix { $0 != " " }) } }
}

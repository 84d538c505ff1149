package import CheckpointIO
internal import Synchronization
package import SystemPackage

/// A file system whose operation number `failing` fails; all before and after it work. Counts create, write, sync,
/// link, remove and syncDirectory, in the order of their calls.
package final class FailingFileSystem: FileSystem {
    private let base = POSIXFileSystem()
    private let failing: Int
    private let trace = Mutex<[String]>([])

    /// - Parameter failing: from 0; nil fails nothing.
    package init(failing: Int?) { self.failing = failing ?? -1 }

    /// The operations so far.
    package var operations: [String] { trace.withLock { $0 } }

    fileprivate func step(_ operation: String, _ path: FilePath) throws(FileSystemError) {
        let number = trace.withLock { trace in
            trace.append(operation)
            return trace.count - 1
        }
        if number == failing { throw FileSystemError(operation, path, .ioError) }
    }

    package func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile {
        try step("create", path)
        return FailingFile(base: try base.create(path), path: path, owner: self)
    }

    package func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError) {
        try step("link", new)
        try base.link(existing, to: new)
    }

    package func remove(_ path: FilePath) throws(FileSystemError) {
        try step("remove", path)
        try base.remove(path)
    }

    package func syncDirectory(_ path: FilePath) throws(FileSystemError) {
        try step("syncDirectory", path)
        try base.syncDirectory(path)
    }

    package func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile { try base.open(path) }
    package func list(_ directory: FilePath) throws(FileSystemError) -> [String] { try base.list(directory) }
    package func kind(of path: FilePath) throws(FileSystemError) -> FileKind? { try base.kind(of: path) }
    package func makeDirectory(_ path: FilePath) throws(FileSystemError) { try base.makeDirectory(path) }
    package func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)? { try base.lock(path) }
    package func availableBytes(at path: FilePath) throws(FileSystemError) -> Int { try base.availableBytes(at: path) }
}

private final class FailingFile: WritableFile {
    let base: any WritableFile
    let path: FilePath
    let owner: FailingFileSystem

    init(base: any WritableFile, path: FilePath, owner: FailingFileSystem) {
        self.base = base
        self.path = path
        self.owner = owner
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        try owner.step("write", path)
        unsafe try base.write(bytes, at: offset)
    }

    func sync() throws(FileSystemError) {
        try owner.step("sync", path)
        try base.sync()
    }

    func close() { base.close() }
}

internal import CPlatform
internal import Glibc
internal import Synchronization
package import SystemPackage

/// The machine's own file system.
package struct POSIXFileSystem: FileSystem {
    private let usesDirectIO: Bool

    /// - Parameter usesDirectIO: writes whole pages past the page cache where the file system takes it: a fraction of the
    ///   processor time, and the trainer's own files stay cached.
    package init(usesDirectIO: Bool = true) { self.usesDirectIO = usesDirectIO }

    package func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile {
        let file = POSIXFile(descriptor: try SystemCall.open(path, O_RDWR | O_CREAT | O_EXCL), path: path, size: 0)
        if usesDirectIO { file.openDirectly() }
        return file
    }

    package func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile {
        // Not to hang on a named pipe that somebody has put in a file's place.
        let descriptor = try SystemCall.open(path, O_RDONLY | O_NONBLOCK)
        let file = POSIXFile(descriptor: descriptor, path: path, size: 0)
        let status = try SystemCall.status(descriptor, path)
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileSystemError("open(2)", path, .notSupported) }
        // Where locks do not work, `reopen` never succeeds, and nothing is written over.
        if flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK {
            throw FileSystemError("flock(2)", path, .noSuchFileOrDirectory)
        }
        file.size = Int(status.st_size)
        return file
    }

    package func reopen(_ path: FilePath) throws(FileSystemError) -> (any WritableFile)? {
        let file = POSIXFile(descriptor: try SystemCall.open(path, O_RDWR), path: path, size: 0)
        guard file.lockExclusively() else { return nil }
        if usesDirectIO { file.openDirectly() }
        return file
    }

    /// The beginning of a file that does not know its size, such as those in /proc.
    package func stream(_ path: FilePath, atMost limit: Int) throws(FileSystemError) -> [UInt8] {
        let descriptor = try SystemCall.open(path, O_RDONLY)
        defer { Glibc.close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while bytes.count < limit {
            let count = try SystemCall.checkCount("read", path) {
                unsafe part.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            }
            if count == 0 { break }
            bytes += part[..<count]
        }
        return bytes
    }

    package func list(_ directory: FilePath) throws(FileSystemError) -> [String] { try list(directory, atMost: .max) }

    /// The first names that the system gives, at most `limit`: of a huge directory a look costs as little as of a small one.
    package func list(_ directory: FilePath, atMost limit: Int) throws(FileSystemError) -> [String] {
        guard let stream = unsafe directory.withPlatformString({ unsafe opendir($0) }) else {
            throw FileSystemError("opendir(3)", directory, Errno(rawValue: errno))
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        errno = 0
        while names.count < limit {
            errno = 0
            guard let entry = unsafe readdir(stream) else { break }
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw FileSystemError("readdir(3)", directory, Errno(rawValue: errno)) }
        return names
    }

    package func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity? {
        var status = stat()
        do {
            _ = try SystemCall.check("lstat", path) { unsafe path.withPlatformString { unsafe lstat($0, &status) } }
        } catch {
            if error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory { return nil }
            throw error
        }
        return FileIdentity(device: UInt64(status.st_dev), number: UInt64(status.st_ino), names: Int(status.st_nlink))
    }

    package func kind(of path: FilePath) throws(FileSystemError) -> FileKind? {
        var status = stat()
        do {
            _ = try SystemCall.check("stat", path) { unsafe path.withPlatformString { unsafe stat($0, &status) } }
        } catch {
            if error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory { return nil }
            throw error
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .directory
        default: return .other
        }
    }

    package func makeDirectory(_ path: FilePath) throws(FileSystemError) {
        do {
            _ = try SystemCall.check("mkdir", path) { unsafe path.withPlatformString { unsafe mkdir($0, 0o755) } }
        } catch {
            guard error.errno == .fileExists, try kind(of: path) == .directory else { throw error }
        }
    }

    package func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("link", new) {
            unsafe existing.withPlatformString { from in unsafe new.withPlatformString { unsafe Glibc.link(from, $0) } }
        }
    }

    package func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("rename", new) {
            unsafe existing.withPlatformString { from in unsafe new.withPlatformString { unsafe Glibc.rename(from, $0) } }
        }
    }

    package func remove(_ path: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("unlink", path) { unsafe path.withPlatformString { unsafe unlink($0) } }
    }

    package func syncDirectory(_ path: FilePath) throws(FileSystemError) {
        let descriptor = try SystemCall.open(path, O_RDONLY | O_DIRECTORY)
        defer { Glibc.close(descriptor) }
        _ = try SystemCall.check("fsync", path) { fsync(descriptor) }
    }

    package func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)? {
        let descriptor = try SystemCall.open(path, O_RDWR | O_CREAT)
        let file = POSIXFile(descriptor: descriptor, path: path, size: 0)
        do {
            _ = try SystemCall.check("flock", path) { flock(descriptor, LOCK_EX | LOCK_NB) }
        } catch {
            if error.errno == .wouldBlock { return nil }
            throw error
        }
        return file
    }

    package func availableBytes(at path: FilePath) throws(FileSystemError) -> Int {
        var status = statvfs()
        _ = try SystemCall.check("statvfs", path) { unsafe path.withPlatformString { unsafe statvfs($0, &status) } }
        return Int(clamping: UInt64(status.f_bavail).multipliedFullWidth(by: UInt64(status.f_frsize)).low)
    }
}

/// An open descriptor, closed with the object. Descriptors are small integers and the calls used are thread-safe.
final class POSIXFile: WritableFile, ReadableFile, FileLock, @unchecked Sendable {
    private let path: FilePath
    private var descriptor: Int32
    fileprivate(set) var size: Int
    /// The same file opened with O_DIRECT, or -1. Some file systems refuse it here, some only at the first write.
    private let direct = Atomic<Int32>(-1)

    init(descriptor: Int32, path: FilePath, size: Int) {
        self.descriptor = descriptor
        self.path = path
        self.size = size
    }

    deinit { close() }

    /// Whether nobody else has the file open for reading, or will until it is closed.
    fileprivate func lockExclusively() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }

    fileprivate func openDirectly() {
        // Refused means written through the page cache.
        let descriptor = try? SystemCall.open(path, O_WRONLY | cp_direct_io_flag())
        direct.store(descriptor ?? -1, ordering: .relaxed)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        var done = unsafe writeDirectly(bytes, at: offset)
        while done < bytes.count {
            // A short write is not an error: the rest is written next, and the cause of the shortness then shows itself.
            let count = try SystemCall.checkCount("pwrite", path) {
                unsafe pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard count > 0 else { throw FileSystemError("pwrite(2)", path, .ioError) }
            done += count
        }
    }

    /// Writes whole pages from page-aligned memory past the page cache.
    /// - Returns: how many bytes it wrote. The rest, also after an error, is tried again through the cache, where a lasting
    ///   cause shows itself.
    private func writeDirectly(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        let descriptor = direct.load(ordering: .relaxed)
        let address = Int(bitPattern: bytes.baseAddress)
        guard descriptor >= 0, (address | bytes.count | offset) % 4096 == 0 else { return 0 }
        let count = unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(offset))
        // A short direct write may end inside a page, where only the cache can go on.
        return max(count, 0)
    }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
        var done = 0
        while done < bytes.count {
            let count = try SystemCall.checkCount("pread", path) {
                unsafe pread(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard count > 0 else { throw FileSystemError("pread(2) past the end", path, .outOfRange) }
            done += count
        }
    }

    func truncate(to count: Int) throws(FileSystemError) {
        _ = try SystemCall.check("ftruncate", path) { ftruncate(descriptor, off_t(count)) }
    }

    func sync() throws(FileSystemError) {
        _ = try SystemCall.check("fsync", path) { fsync(descriptor) }
    }

    func close() {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
        let direct = direct.exchange(-1, ordering: .relaxed)
        if direct >= 0 { Glibc.close(direct) }
    }
}

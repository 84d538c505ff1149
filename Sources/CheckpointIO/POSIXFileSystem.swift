internal import CPlatform
internal import Glibc
internal import Synchronization
package import SystemPackage

/// The file system of the operating system.
package struct POSIXFileSystem: FileSystem {
    private let usesDirectIO: Bool

    /// Creates access to the file system.
    ///
    /// - Parameter usesDirectIO: Write full pages with O_DIRECT where the file system supports it.
    ///   This takes a fraction of the processor time, and leaves the trainer's own files in the
    ///   page cache.
    package init(usesDirectIO: Bool = true) { self.usesDirectIO = usesDirectIO }

    package func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile {
        let file = POSIXFile(
            descriptor: try SystemCall.open(path, O_RDWR | O_CREAT | O_EXCL), path: path, size: 0)
        if usesDirectIO { file.openDirectly() }
        return file
    }

    package func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile {
        // O_NONBLOCK, because opening a FIFO that has replaced a file would block.
        let descriptor = try SystemCall.open(path, O_RDONLY | O_NONBLOCK)
        let file = POSIXFile(descriptor: descriptor, path: path, size: 0)
        let status = try SystemCall.status(descriptor, path)
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileSystemError("open(2)", path, .notSupported)
        }
        // If flock(2) does not work, `reopen` never succeeds, and no file is overwritten.
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

    /// Reads the start of a file whose size is unknown, such as those in /proc.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - limit: Number of bytes after which no more are read. The result can be up to 4095 bytes
    ///     longer.
    /// - Returns: The bytes.
    /// - Throws: The error of the system call.
    package func stream(_ path: FilePath, atMost limit: Int) throws(FileSystemError) -> [UInt8] {
        let descriptor = try SystemCall.open(path, O_RDONLY)
        defer { Glibc.close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while bytes.count < limit {
            let count = try SystemCall.checkCount("read", path) {
                unsafe part.withUnsafeMutableBytes {
                    unsafe read(descriptor, $0.baseAddress, $0.count)
                }
            }
            if count == 0 { break }
            bytes += part[..<count]
        }
        return bytes
    }

    /// Frees the space of a range of a file; it reads as zeros from then on (fallocate(2)).
    ///
    /// - Throws: The error of the system call; `.notSupported` if the file system has no holes.
    package func freeSpace(
        of path: FilePath, _ range: Range<Int>
    ) throws(FileSystemError) {
        let descriptor = try SystemCall.open(path, O_RDWR)
        defer { Glibc.close(descriptor) }
        _ = try SystemCall.check("fallocate", path) {
            cp_punch_hole(descriptor, range.lowerBound, range.count)
        }
    }

    package func list(_ directory: FilePath) throws(FileSystemError) -> [String] {
        try list(directory, atMost: .max)
    }

    /// Returns the first names of a directory, in the order of readdir(3).
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - limit: Maximum number of names. It bounds the cost for a huge directory.
    /// - Returns: Names without `.` and `..`.
    /// - Throws: The error of the system call.
    package func list(_ directory: FilePath, atMost limit: Int) throws(FileSystemError) -> [String]
    {
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
        guard errno == 0 else {
            throw FileSystemError("readdir(3)", directory, Errno(rawValue: errno))
        }
        return names
    }

    package func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity? {
        var status = stat()
        do {
            _ = try SystemCall.check("lstat", path) {
                unsafe path.withPlatformString { unsafe lstat($0, &status) }
            }
        } catch {
            if error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory { return nil }
            throw error
        }
        return FileIdentity(
            device: UInt64(status.st_dev), number: UInt64(status.st_ino),
            names: Int(status.st_nlink))
    }

    package func kind(of path: FilePath) throws(FileSystemError) -> FileKind? {
        var status = stat()
        do {
            _ = try SystemCall.check("stat", path) {
                unsafe path.withPlatformString { unsafe stat($0, &status) }
            }
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
        let deadline = ContinuousClock.now + Self.timeToShowName
        var wait: useconds_t = 1000
        while true {
            do {
                _ = try SystemCall.check("mkdir", path) {
                    unsafe path.withPlatformString { unsafe mkdir($0, 0o777) }
                }
                return
            } catch {
                switch error.errno {
                case .fileExists:
                    if let kind = try kind(of: path) {
                        guard kind == .directory else { throw error }
                        return
                    }
                case .noSuchFileOrDirectory, .staleNFSFileHandle:
                    let parent = path.removingLastComponent()
                    guard try kind(of: parent) == .directory else { throw error }
                default: throw error
                }
                // A network file system: the server and this machine do not agree yet.
                guard ContinuousClock.now < deadline else { throw error }
            }
            usleep(wait)
            wait = min(wait * 2, 100_000)
        }
    }

    /// Time in which a network file system shows a name that another machine created: the longest
    /// that NFS keeps the attributes of a file by default.
    private static let timeToShowName = Duration.seconds(3)

    package func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("link", new) {
            unsafe existing.withPlatformString { from in
                unsafe new.withPlatformString { unsafe Glibc.link(from, $0) }
            }
        }
    }

    package func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("rename", new) {
            unsafe existing.withPlatformString { from in
                unsafe new.withPlatformString { unsafe Glibc.rename(from, $0) }
            }
        }
    }

    package func remove(_ path: FilePath) throws(FileSystemError) {
        _ = try SystemCall.check("unlink", path) {
            unsafe path.withPlatformString { unsafe unlink($0) }
        }
    }

    package func syncDirectory(_ path: FilePath) throws(FileSystemError) {
        let descriptor = try SystemCall.open(path, O_RDONLY | O_DIRECTORY)
        defer { Glibc.close(descriptor) }
        _ = try SystemCall.check("fsync", path) { fsync(descriptor) }
    }

    package func resolved(_ path: FilePath) throws(FileSystemError) -> FilePath {
        guard let text = unsafe path.withPlatformString({ unsafe realpath($0, nil) }) else {
            throw FileSystemError("realpath", path, Errno(rawValue: errno))
        }
        defer { unsafe free(text) }
        return unsafe FilePath(platformString: text)
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
        return POSIXLock(file, descriptor: descriptor)
    }

    package func record(inLock path: FilePath) -> [UInt8]? {
        // It is for a message only.
        guard let descriptor = try? SystemCall.open(path, O_RDONLY) else { return nil }
        defer { Glibc.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe pread(descriptor, $0.baseAddress, $0.count, 0)
        }
        return count > 0 ? Array(bytes.prefix(count)) : nil
    }

    package func availableBytes(at path: FilePath) throws(FileSystemError) -> Int {
        var status = statvfs()
        _ = try SystemCall.check("statvfs", path) {
            unsafe path.withPlatformString { unsafe statvfs($0, &status) }
        }
        return Int(
            clamping: UInt64(status.f_bavail).multipliedFullWidth(by: UInt64(status.f_frsize)).low)
    }
}

/// An open file descriptor, which is closed when the object is released.
///
/// Sendable without a lock, because a descriptor is a small integer and the system calls used are
/// thread-safe.
final class POSIXFile: WritableFile, ReadableFile, @unchecked Sendable {
    private let path: FilePath
    private var descriptor: Int32
    fileprivate(set) var size: Int
    /// A second descriptor of the file, opened with O_DIRECT, or -1. Some file systems refuse
    /// O_DIRECT in open(2), others at the first write.
    private let direct = Atomic<Int32>(-1)

    init(descriptor: Int32, path: FilePath, size: Int) {
        self.descriptor = descriptor
        self.path = path
        self.size = size
    }

    deinit { close() }

    /// Takes the exclusive flock(2) without waiting. Returns false if the file is open for reading.
    fileprivate func lockExclusively() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }

    fileprivate func openDirectly() {
        // If O_DIRECT is refused, writes go through the page cache.
        let descriptor = try? SystemCall.open(path, O_WRONLY | cp_direct_io_flag())
        direct.store(descriptor ?? -1, ordering: .relaxed)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        guard !FileSizeLimit.forbids(writingTo: offset + bytes.count) else {
            throw FileSystemError("pwrite(2)", path, .fileTooLarge)
        }
        var done = unsafe writeDirectly(bytes, at: offset)
        while done < bytes.count {
            // A short write is not an error. The next call writes the rest, or fails with the
            // cause.
            let count = try SystemCall.checkCount("pwrite", path) {
                unsafe pwrite(
                    descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard count > 0 else { throw FileSystemError("pwrite(2)", path, .ioError) }
            done += count
        }
    }

    /// Writes past the page cache if address, count and offset are multiples of the page size.
    ///
    /// - Returns: Number of bytes written. The caller writes the rest through the page cache, also
    ///   after an error, so a lasting cause shows there.
    private func writeDirectly(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        let descriptor = direct.load(ordering: .relaxed)
        let address = Int(bitPattern: bytes.baseAddress)
        guard descriptor >= 0, (address | bytes.count | offset) % 4096 == 0 else { return 0 }
        let count = unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(offset))
        // A short direct write may end inside a page; only a cached write can continue there.
        return max(count, 0)
    }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
        var done = 0
        while done < bytes.count {
            let count = try SystemCall.checkCount("pread", path) {
                unsafe pread(
                    descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            guard count > 0 else {
                throw FileSystemError("pread(2) past the end", path, .outOfRange)
            }
            done += count
        }
    }

    func truncate(to count: Int) throws(FileSystemError) {
        guard !FileSizeLimit.forbids(writingTo: count) else {
            throw FileSystemError("ftruncate(2)", path, .fileTooLarge)
        }
        _ = try SystemCall.check("ftruncate", path) { ftruncate(descriptor, off_t(count)) }
    }

    func record(_ bytes: [UInt8]) throws(FileSystemError) {
        try truncate(to: 0)
        try write(bytes, at: 0)
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

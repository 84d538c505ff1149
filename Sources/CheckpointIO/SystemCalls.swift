internal import Glibc
internal import SystemPackage

/// Every raw system call of the engine, in one shape: retried when interrupted, its errno as a typed error.
enum SystemCall {
    static func check(
        _ name: String, _ path: FilePath, _ call: () -> Int32
    ) throws(FileSystemError) -> Int32 {
        while true {
            let result = call()
            if result != -1 { return result }
            let code = Errno(rawValue: errno)
            if code != .interrupted { throw FileSystemError("\(name)(2)", path, code) }
        }
    }

    static func checkCount(_ name: String, _ path: FilePath, _ call: () -> Int) throws(FileSystemError) -> Int {
        while true {
            let result = call()
            if result != -1 { return result }
            let code = Errno(rawValue: errno)
            if code != .interrupted { throw FileSystemError("\(name)(2)", path, code) }
        }
    }

    static func open(_ path: FilePath, _ flags: Int32, mode: mode_t = 0o644) throws(FileSystemError) -> Int32 {
        try check("open", path) { unsafe path.withPlatformString { unsafe Glibc.open($0, flags | O_CLOEXEC, mode) } }
    }

    static func status(_ descriptor: Int32, _ path: FilePath) throws(FileSystemError) -> stat {
        var status = stat()
        _ = try check("fstat", path) { unsafe fstat(descriptor, &status) }
        return status
    }
}

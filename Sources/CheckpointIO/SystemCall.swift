internal import Glibc
internal import SystemPackage

/// Wrappers for all raw system calls of the engine: an interrupted call is repeated, and errno
/// becomes a typed error.
enum SystemCall {
    /// Repeats a call while it fails with EINTR.
    ///
    /// - Parameters:
    ///   - name: Name of the call without the section, for the error.
    ///   - path: The file, for the error.
    ///   - call: The call; -1 means that errno is set.
    /// - Returns: The result of the call.
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

    /// Repeats a call that returns a number of bytes while it fails with EINTR.
    static func checkCount(_ name: String, _ path: FilePath, _ call: () -> Int) throws(FileSystemError) -> Int {
        while true {
            let result = call()
            if result != -1 { return result }
            let code = Errno(rawValue: errno)
            if code != .interrupted { throw FileSystemError("\(name)(2)", path, code) }
        }
    }

    static func open(_ path: FilePath, _ flags: Int32, mode: mode_t = 0o666) throws(FileSystemError) -> Int32 {
        try check("open", path) { unsafe path.withPlatformString { unsafe Glibc.open($0, flags | O_CLOEXEC, mode) } }
    }

    static func status(_ descriptor: Int32, _ path: FilePath) throws(FileSystemError) -> stat {
        var status = stat()
        _ = try check("fstat", path) { unsafe fstat(descriptor, &status) }
        return status
    }
}

package import SystemPackage

/// A system call that failed: which, on what, and why.
package struct FileSystemError: Error, CustomStringConvertible, Equatable {
    /// The call as the manual names it: "pwrite(2)".
    package var operation: String
    package var path: FilePath
    package var errno: Errno

    package init(_ operation: String, _ path: FilePath, _ errno: Errno) {
        self.operation = operation
        self.path = path
        self.errno = errno
    }

    package var description: String { "\(operation) of \(path) failed: \(errno)" }
}

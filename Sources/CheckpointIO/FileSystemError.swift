package import SystemPackage

/// A failed system call: its name, the path and the error number.
package struct FileSystemError: Error, CustomStringConvertible, Equatable {
    /// Name of the call as in the manual: "pwrite(2)".
    package var operation: String
    package var path: FilePath
    package var errno: Errno

    package init(_ operation: String, _ path: FilePath, _ errno: Errno) {
        self.operation = operation
        self.path = path
        self.errno = errno
    }

    /// True if the error number is one of a file system that lacks the operation.
    package var isMissingOperation: Bool {
        let answers: [Errno] = [
            .notPermitted, .noFunction, .notSupported, .notSupportedOnSocket, .noLocks,
        ]
        return answers.contains(errno)
    }

    package var description: String { "\(operation) of \(path) failed: \(errno)" }
}

package import SystemPackage

/// A failed system call or request: its name, the path and the error number.
package struct FileSystemError: Error, CustomStringConvertible, Equatable {
    /// Name of the call as in the manual, or of the request: "pwrite(2)", "PUT".
    package var operation: String
    package var path: FilePath
    package var errno: Errno
    /// What another machine has answered, for people; nil if the error number says it all.
    package var detail: String?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - operation: name of the call or request.
    ///   - path: the file.
    ///   - errno: the error number.
    ///   - detail: what another machine has answered.
    package init(_ operation: String, _ path: FilePath, _ errno: Errno, detail: String? = nil) {
        self.operation = operation
        self.path = path
        self.errno = errno
        self.detail = detail
    }

    /// True if the error number is one of a file system that lacks the operation.
    package var isMissingOperation: Bool {
        let answers: [Errno] = [
            .notPermitted, .noFunction, .notSupported, .notSupportedOnSocket, .noLocks,
        ]
        return answers.contains(errno)
    }

    package var description: String { "\(operation) of \(path) failed: \(detail ?? "\(errno)")" }
}

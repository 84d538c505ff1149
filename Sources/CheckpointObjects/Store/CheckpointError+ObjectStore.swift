internal import CheckpointIO
package import CheckpointStorage
internal import SystemPackage

extension CheckpointError {
    /// Converts an error of an object store; one of a file of this machine stays what it is.
    ///
    /// - Parameters:
    ///   - error: the error.
    ///   - place: the place of the objects.
    package init(_ error: ObjectStoreError, in place: String) {
        if let cause = error.cause {
            self.init(cause)
            return
        }
        let path = FilePath(error.key.isEmpty ? place : "\(place)/\(error.key)")
        self.init(FileSystemError(error.operation, path, error.errno, detail: error.detail))
    }
}

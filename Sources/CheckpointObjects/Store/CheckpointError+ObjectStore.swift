internal import CheckpointIO
package import CheckpointStorage
internal import SystemPackage

extension CheckpointError {
    /// Converts an error of an object store.
    ///
    /// - Parameters:
    ///   - error: the error.
    ///   - place: the place of the objects.
    package init(_ error: ObjectStoreError, in place: String) {
        let path = FilePath(error.key.isEmpty ? place : "\(place)/\(error.key)")
        self.init(FileSystemError(error.operation, path, error.errno, detail: error.detail))
    }
}

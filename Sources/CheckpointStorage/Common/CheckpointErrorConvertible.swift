/// An error of a layer above this module that can be converted to the public error type.
package protocol CheckpointErrorConvertible: Error {
    /// Returns the error of the public interface.
    ///
    /// - Parameter action: the action that failed, as the start of a message.
    func checkpointError(during action: String) -> CheckpointError
}

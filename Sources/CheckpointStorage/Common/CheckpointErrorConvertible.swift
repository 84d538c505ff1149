/// An error of a layer that this module does not know, which says how callers see it.
package protocol CheckpointErrorConvertible: Error {
    /// Returns the error of the public interface.
    /// - Parameter action: the action that failed, as the start of a message.
    func checkpointError(during action: String) -> CheckpointError
}

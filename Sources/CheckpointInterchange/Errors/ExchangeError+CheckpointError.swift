internal import CheckpointExchange
internal import CheckpointIO
package import CheckpointStorage

extension ExchangeError: CheckpointErrorConvertible {
    package func checkpointError(during action: String) -> CheckpointError {
        switch kind {
        case .damage: CheckpointError(.damaged, description, remedy: remedy, path: path)
        case .refused, .notInflated:
            CheckpointError(.unsupported, description, remedy: remedy, path: path)
        case .inUse: CheckpointError(.exists, description, remedy: remedy, path: path)
        case .file(let cause): CheckpointError(cause, message, remedy: remedy)
        }
    }
}

extension CheckpointError {
    /// The error of a system call, in the words of a foreign format.
    fileprivate init(_ cause: FileSystemError, _ message: String, remedy: String?) {
        self.init(cause)
        self.message = message
        self.remedy = remedy ?? self.remedy
    }
}

/// Runs `body` with the errors of foreign formats turned into those of the public interface.
package func exchanging<R>(
    _ action: String, _ body: () throws -> R
) throws(CheckpointError) -> R {
    do throws(CheckpointError) { return try translating(action, body) } catch {
        // The devices of import and export are files.
        throw error.ofFile
    }
}

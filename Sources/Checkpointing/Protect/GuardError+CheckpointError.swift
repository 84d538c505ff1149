internal import CheckpointGuard
internal import CheckpointStorage

extension GuardError: CheckpointErrorConvertible {
    package func checkpointError(during action: String) -> CheckpointError {
        CheckpointError(
            .unsupported, "\(action): \(self)",
            remedy: "To save without userfaultfd, set capture to .fenced")
    }
}

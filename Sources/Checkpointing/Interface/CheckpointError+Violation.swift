internal import CheckpointStorage

extension CheckpointError {
    /// Returns the error that names tensors changed without a permit; nil if there are none.
    ///
    /// - Parameters:
    ///   - names: the tensors.
    ///   - occasion: what happened after the change.
    static func violation(_ names: [String], before occasion: String) -> CheckpointError? {
        guard !names.isEmpty else { return nil }
        return CheckpointError(
            .misuse, "tensors were modified outside a mutation permit, before \(occasion)",
            remedy: "Modify them inside mutate, or while holding permit()", names: names)
    }
}

internal import CheckpointStorage

extension CheckpointError {
    /// Returns the error that names tensors changed without a permit; nil if there are none.
    ///
    /// - Parameters:
    ///   - names: the tensors.
    ///   - occasion: what happened after the change.
    static func violation(_ names: [String], before occasion: String) -> CheckpointError? {
        guard !names.isEmpty else { return nil }
        let shown = names.prefix(4).map { "\"\($0)\"" }.joined(separator: ", ")
        let more = names.count > 4 ? " and \(names.count - 4) more" : ""
        let (noun, verb) = names.count == 1 ? ("tensor", "was") : ("tensors", "were")
        var error = CheckpointError(
            .misuse,
            "\(noun) \(shown)\(more) \(verb) modified outside a mutation permit, "
                + "before \(occasion)",
            remedy: "Modify tensors inside mutate, or while holding permit()", names: names)
        error.messageHasNames = true
        return error
    }
}

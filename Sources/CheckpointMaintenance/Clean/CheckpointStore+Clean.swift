public import CheckpointStorage

extension CheckpointStore {
    /// Removes what a killed or interrupted writer left behind: files of unfinished saves, and
    /// segments that no checkpoint names.
    ///
    /// Every writer does the same when it opens the store. Needs no free space.
    ///
    /// - Parameters:
    ///   - path: the store's directory.
    ///   - onWarning: called with problems that do not prevent the removal.
    /// - Returns: what was removed.
    /// - Throws: codes `notFound`, `notAStore`, `busy` (a process writes to the store, or removes
    ///   checkpoints), `damaged`, `readOnly`, `io`.
    public static func clean(
        _ path: String, onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CheckpointError) -> Leavings {
        // Opening for writing would make a store of an empty directory.
        _ = try open(path)
        return try open(path, for: .writing, onWarning: onWarning).recovered
    }
}

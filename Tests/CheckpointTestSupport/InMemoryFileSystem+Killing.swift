internal import CheckpointIO

extension InMemoryFileSystem {
    /// Returns the file system as the next process finds it after this one was killed: nothing is
    /// lost, nothing more is durable, and no locks are held.
    package func killed() -> InMemoryFileSystem {
        var after = state.withLock { $0 }
        (after.locked, after.holds, after.records) = ([], [:], [:])
        return InMemoryFileSystem(state: after)
    }
}

internal import CheckpointIO

extension InMemoryFileSystem {
    /// Returns a file system with the same files, of which nobody holds a lock.
    package func copy() -> InMemoryFileSystem {
        var copy = state.withLock { $0 }
        (copy.locked, copy.holds) = ([], [:])
        return InMemoryFileSystem(state: copy)
    }
}

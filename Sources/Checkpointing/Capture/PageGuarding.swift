internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointState

/// The page protection of a state, as the save that captures it sees it. Any thread.
protocol PageGuarding: AnyObject, Sendable {
    /// Puts bytes that share a page with foreign data in their place in a captured chunk.
    /// - Returns: whether there are any.
    func restoreFrozen(_ chunk: Int, in region: MemoryRegion) -> Bool

    /// Lets writes to the pages of a captured block through, unless another block needs them.
    func captured(_ block: BlockIndex)

    /// Lets all writes through: the save has failed.
    func stopProtecting(_ save: CheckpointID)
}

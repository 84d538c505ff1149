internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointState

/// The part of page protection that a save uses while it is captured. Any thread.
protocol PageGuarding: AnyObject, Sendable {
    /// Copies bytes that share a page with other data to their place in a captured chunk.
    /// - Returns: whether there are any.
    func restoreFrozen(_ chunk: Int, in region: MemoryRegion) -> Bool

    /// Releases the pages of a captured block for writes, unless another block needs them.
    func captured(_ block: BlockIndex)

    /// Releases all pages for writes: the save has failed.
    func stopProtecting(_ save: CheckpointID)
}

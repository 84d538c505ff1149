public import CheckpointFormat
internal import CheckpointIO

/// A tag, and the checkpoint that it points to.
public struct CheckpointTag: Sendable, Hashable {
    /// The tag.
    public var tag: TagName
    /// The checkpoint's id.
    public var id: CheckpointID
    /// The checkpoint's run.
    public var run: RunID
    /// The checkpoint's step.
    public var step: Int
    /// True if the checkpoint no longer exists: it was removed by a version without tags, or by
    /// hand.
    public var isDangling: Bool
}

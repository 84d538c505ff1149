/// Files that a writer left behind when it was killed, and that nothing names.
public struct Leavings: Sendable, Equatable {
    /// Number of files.
    public var count = 0
    /// Their total size in bytes.
    public var bytes = 0
    /// False if there may be more: another process is removing or repacking checkpoints, or a
    /// manifest cannot be read.
    public var isComplete = true

    package init() {}
}

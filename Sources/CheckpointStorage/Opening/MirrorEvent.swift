internal import CheckpointFormat

/// An event of a mirror that is kept up to date.
public enum MirrorEvent: Sendable {
    /// A checkpoint is in the mirror, and can be restored from there. Bytes that were sent for it.
    case mirrored(step: Int, newBytes: Int)
    /// The mirror could not be brought up to date. It is tried again after a pause; training is
    /// not affected. Reported once for each cause.
    case failed(CheckpointError)
    /// When it was opened, the store lacked checkpoints of the mirror that are newer than all of its
    /// own, the newest of this step: it may be an older copy of the store that was mirrored.
    /// Reported once.
    case ahead(step: Int)
    /// After a failure, the mirror is up to date again.
    case recovered
}

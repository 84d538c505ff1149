internal import CheckpointFormat

/// A second copy of a store, at another place: a trainer keeps it up to date while it saves, and
/// resumes from it if the store is lost.
///
/// `BackgroundMirror` in `CheckpointObjects` is one in a bucket or a directory. Implementations may
/// be called on any thread.
public protocol CheckpointMirror: Sendable {
    /// Name of the place, for people: "s3://bucket/prefix".
    var place: String { get }

    /// Opens the copy for reading.
    ///
    /// - Returns: nil if there is no store yet.
    /// - Throws: codes as `CheckpointStore.open`.
    func openStore() throws(CheckpointError) -> CheckpointStore?

    /// Begins to keep the copy up to date, on a thread of its own. The place need not be reachable.
    ///
    /// - Parameters:
    ///   - store: the store that is copied; open for writing.
    ///   - onEvent: called on that thread.
    /// - Returns: the work in the background; it ends with `stop`.
    /// - Throws: code `io` if the system cannot create a thread; `misuse` (options).
    func follow(
        _ store: CheckpointStore, onEvent: @escaping @Sendable (MirrorEvent) -> Void
    ) throws(CheckpointError) -> any MirrorFollowing
}

internal import CCheckpoint
internal import CheckpointIO
internal import CheckpointStorage
internal import Glibc

/// The version, as a text that is never freed.
@safe
struct VersionText: @unchecked Sendable {
    static let shared = VersionText()
    let pointer = unsafe strdup(LibraryVersion.number)
}

/// The version of this software.
public enum LibraryVersion {
    /// Version number, as in the changelog.
    public static let number = "0.2.0"
    /// Name and version of this software, as recorded in manifests.
    package static let writer = "ckpt \(number)"
}

/// The earlier name of `LibraryVersion`.
@available(*, deprecated, renamed: "LibraryVersion")
public typealias Version = LibraryVersion

package import CheckpointFormat
package import SystemPackage

/// Paths of the directories and files of a store (Formats/store-layout.md).
package struct StoreDirectories: Sendable {
    package let root: FilePath
    package let identity: FilePath
    package let manifests: FilePath
    package let segments: FilePath
    package let parts: FilePath
    package let staging: FilePath
    package let quarantine: FilePath
    package let tags: FilePath
    package let pins: FilePath
    package let catalog: FilePath
    package let lock: FilePath
    package let maintenanceLock: FilePath
    package let generation: FilePath

    /// Creates the paths of the store at `root`. Does not access the file system.
    package init(root: FilePath) {
        self.root = root
        identity = root.appending("store.json")
        manifests = root.appending("manifests")
        segments = root.appending("segments")
        parts = root.appending("parts")
        staging = root.appending("staging")
        quarantine = root.appending("quarantine")
        tags = root.appending("tags")
        pins = root.appending("pins")
        catalog = root.appending("catalog.sqlite")
        lock = root.appending("writer.lock")
        maintenanceLock = root.appending("maintenance.lock")
        generation = root.appending("generation")
    }

    /// Returns the path of a segment's file.
    package func path(of segment: SegmentName) -> FilePath { segments.appending(segment.description) }
    /// Returns the path of the directory of an attempt of several ranks.
    package func path(of attempt: AttemptName) -> FilePath {
        parts.appending(attempt.description)
    }
    /// Returns the path of a file in the directory of an attempt of several ranks.
    package func path(of name: PartName, in attempt: AttemptName) -> FilePath {
        path(of: attempt).appending(name.description)
    }
    /// Returns the path of a manifest.
    package func path(of manifest: ManifestName) -> FilePath { manifests.appending(manifest.description) }
}

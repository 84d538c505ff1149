package import CheckpointFormat
package import SystemPackage

/// Paths of the directories and files of a store (Formats/store-layout.md).
package struct StoreDirectories: Sendable {
    package let root: FilePath
    package let identity: FilePath
    package let manifests: FilePath
    package let segments: FilePath
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
    /// Returns the path of a manifest.
    package func path(of manifest: ManifestName) -> FilePath { manifests.appending(manifest.description) }
}

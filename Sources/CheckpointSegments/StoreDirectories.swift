package import CheckpointFormat
package import SystemPackage

/// The directories of a store (Formats/store-layout.md).
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

    package func path(of segment: SegmentName) -> FilePath { segments.appending(segment.description) }
    package func path(of manifest: ManifestName) -> FilePath { manifests.appending(manifest.description) }
}

internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// Tells the readers of a mirror that a manifest there is about to be replaced, as a repack does in
/// a store (Formats/durability.md, M4). The maintenance lock is held.
struct MirrorReplacement {
    let target: any ObjectStore
    /// The paths of the mirror; nil if it is a bucket.
    let directories: StoreDirectories?
    private var hasChangedGeneration = false

    init(target: any ObjectStore, directories: StoreDirectories?) {
        (self.target, self.directories) = (target, directories)
    }

    /// Changes `generation` once, so that recovery looks for segments of the old manifests, and
    /// removes the row of the catalog, which describes the old manifest.
    ///
    /// - Parameter name: the checkpoint.
    /// - Throws: codes `io`, `noSpace`, `readOnly`.
    mutating func prepare(for name: ManifestName) throws(CheckpointError) {
        if !hasChangedGeneration {
            let line = MemoryFile(Array("\(CheckpointID.random())\n".utf8))
            do throws(ObjectStoreError) { try target.upload("generation", from: line) } catch {
                throw CheckpointError(error, in: target.description)
            }
            hasChangedGeneration = true
        }
        guard let directories else { return }
        let files = ManifestFiles(fileSystem: POSIXFileSystem(), directories: directories)
        // A catalog that is damaged is rebuilt by the next writer.
        let catalog = CatalogIndex(existingIn: files)
        catalog?.forget(name)
    }
}

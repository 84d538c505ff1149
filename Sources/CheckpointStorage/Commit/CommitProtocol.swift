internal import CheckpointCatalog
internal import CheckpointCodecs
internal import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import SystemPackage

/// The one place that knows the order "segments durable, manifest published, row indexed": steps W2 to W10 of
/// Formats/durability.md, by their numbers.
package struct CommitProtocol {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories
    package let catalog: CatalogIndex

    package init(
        fileSystem: any FileSystem, directories: StoreDirectories, catalog: CatalogIndex
    ) {
        (self.fileSystem, self.directories, self.catalog) = (fileSystem, directories, catalog)
    }

    /// Commits what `writer` has written.
    /// - Parameters:
    ///   - manifest: makes the manifest, given the sealed segments.
    ///   - durable: called between W5 and W6.
    package func commit(
        _ writer: SegmentWriter, manifest: ([SegmentReference]) -> Manifest, durable: () -> Void
    ) throws(CheckpointError) -> (manifest: Manifest, hash: Hash128) {
        let segments: [SegmentReference]
        do { segments = try writer.seal() } catch {  // W2-W5
            writer.abandon()
            throw CheckpointError(error)
        }
        durable()
        let manifest = manifest(segments)
        let bytes = manifest.encoded(digest: Hashing.digest)
        try publish(manifest, bytes, writer)
        let loaded = ManifestFiles.Loaded(
            manifest: manifest, hash: Manifest.hash(ofEncoded: bytes), fileBytes: bytes.count)
        catalog.add(loaded)  // W10
        return (manifest, loaded.hash)
    }

    /// Puts a manifest that says the same of the checkpoint in the old one's place: steps M2 to M5. The caller has the maintenance lock, so
    /// nobody else removes or replaces it.
    /// - Parameter writer: of the segments that only the new one names.
    /// - Returns: false if somebody counts on the old one as it is.
    package func replace(_ old: Manifest, with new: Manifest, _ writer: SegmentWriter) throws(CheckpointError) -> Bool {
        precondition(old.name == new.name && old.directoryText == new.directoryText, "another checkpoint")
        let (final, bytes) = (directories.path(of: new.name), new.encoded(digest: Hashing.digest))
        return try translating("replacing \(final)") {
            let staged = directories.staging.appending("\(CheckpointID.random()).manifest")
            do { try fileSystem.createDurably(staged, bytes) } catch {  // M2
                writer.abandon()
                throw error
            }
            // Held for a moment only: to readers the checkpoint is not there meanwhile.
            guard let claim = try fileSystem.reopen(final) else {  // M3
                writer.abandon()
                try fileSystem.remove(staged)
                return false
            }
            defer { claim.close() }
            // From here on the new manifest may be in place, even if a step fails: its segments stay, and recovery judges.
            try fileSystem.replace(final, with: staged)  // M4
            try fileSystem.syncDirectory(directories.manifests)  // M5
            catalog.remove([new.name])
            catalog.add(.init(manifest: new, hash: Manifest.hash(ofEncoded: bytes), fileBytes: bytes.count))
            return true
        }
    }

    private func publish(_ manifest: Manifest, _ bytes: [UInt8], _ writer: SegmentWriter) throws(CheckpointError) {
        let staged = directories.staging.appending("\(manifest.id).manifest")
        let final = directories.path(of: manifest.name)
        do {
            try fileSystem.createDurably(staged, bytes)  // W6
        } catch {
            writer.abandon()
            throw CheckpointError(error)
        }
        do {
            try fileSystem.link(staged, to: final)  // W7, the commit point
            try fileSystem.syncDirectory(directories.manifests)  // W8
        } catch {
            try settle(error, final, bytes, writer)
        }
        // W9. A name left behind in staging/ is removed by the next recovery.
        try? fileSystem.remove(staged)
    }

    /// W7 or W8 failed: whether the checkpoint is committed is read off the disk, never assumed. The segments are removed only if the
    /// name is known to be somebody else's: a manifest that may be published must not lose what it names. Recovery removes the rest.
    private func settle(
        _ error: FileSystemError, _ final: FilePath, _ bytes: [UInt8], _ writer: SegmentWriter
    ) throws(CheckpointError) {
        // An unreadable manifest is one that is not ours.
        let found = try? fileSystem.contents(of: final, atMost: Limits.manifestBytesMax)
        guard let found, found == bytes else {
            if found != nil { writer.abandon() }
            throw error.errno == .fileExists
                ? CheckpointError(
                    .exists, "\(final) is already committed", remedy: "A committed step is never overwritten; save another step",
                    path: final.string)
                : CheckpointError(error)
        }
        // Published by us; it counts once the directory is durable. A directory may be synced again, unlike a file's data.
        do { try fileSystem.syncDirectory(directories.manifests) } catch { throw CheckpointError(error) }
    }
}

internal import CheckpointCatalog
internal import CheckpointCodecs
internal import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
package import SystemPackage

/// The only code that publishes manifests or replaces intact ones. It enforces the order "segments
/// durable, manifest published, row indexed": steps W2 to W10, M2 to M5 and Q4 of
/// Formats/durability.md, referred to by their numbers.
///
/// A value without state. It runs on the calling thread, a worker's in a save, and waits for disk
/// and SQLite; the caller holds the locks that its functions name.
package struct CommitProtocol {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories
    package let catalog: CatalogIndex

    /// Creates the protocol for a store that is open for writing or maintaining.
    ///
    /// - Parameters:
    ///   - fileSystem: the file system.
    ///   - directories: paths of the store.
    ///   - catalog: index to update after a commit.
    package init(
        fileSystem: any FileSystem, directories: StoreDirectories, catalog: CatalogIndex
    ) {
        (self.fileSystem, self.directories, self.catalog) = (fileSystem, directories, catalog)
    }

    /// Makes the segments of a checkpoint durable: steps W2 to W5. `publish` follows.
    ///
    /// The caller holds the writer lock. If a step fails, the segments are removed.
    ///
    /// - Parameter writer: the writer, with all blocks appended.
    /// - Returns: the segments.
    /// - Throws: codes `noSpace`, `readOnly`, `io`.
    package static func seal(_ writer: SegmentWriter) throws(CheckpointError) -> SealedSegments {
        do { return try writer.seal() } catch {
            writer.abandon()
            throw CheckpointError(error)
        }
    }

    /// Replaces a manifest by one that describes the same checkpoint with other segments: steps M2
    /// to M5.
    ///
    /// The caller holds the maintenance lock, so that no other process removes or replaces the
    /// manifest.
    ///
    /// - Parameters:
    ///   - old: the published manifest.
    ///   - new: its replacement, with the same name.
    ///   - sealed: the segments that only `new` names, removed if it does not replace the old one;
    ///     nil if other manifests may name them too.
    /// - Returns: false if the old manifest stays, because a reader or a save in flight has it
    ///   locked, or the file system has no locks.
    /// - Throws: codes `noSpace`, `readOnly`, `io`. After a failure in M4 or M5 either manifest may
    ///   be in place; both are complete.
    package func replace(
        _ old: Manifest, with new: Manifest, of sealed: SealedSegments?
    ) throws(CheckpointError) -> Bool {
        precondition(old.name == new.name && old.directoryText == new.directoryText, "another checkpoint")
        precondition(sealed?.cover(new.segments) ?? true, "a segment is not sealed")
        let (final, bytes) = (directories.path(of: new.name), new.encoded(digest: Hashing.digest))
        return try translating("replacing \(final)") {
            let staged = directories.staging.appending("\(CheckpointID.random()).manifest")
            do { try fileSystem.createDurably(staged, bytes) } catch {  // M2
                sealed?.discard()
                throw error
            }
            // Held only briefly: while it is held, readers cannot open the checkpoint's manifest.
            guard let claim = try fileSystem.reopen(final) else {  // M3
                sealed?.discard()
                try fileSystem.remove(staged)
                return false
            }
            defer { claim.close() }
            // From here on the new manifest may be in place, even if a step fails: its segments
            // stay, and recovery decides.
            // A crash leaves no row, which the next writer adds, and never a row of the old manifest.
            catalog.forget(new.name)
            try fileSystem.replace(final, with: staged)  // M4
            try fileSystem.syncDirectory(directories.manifests)  // M5
            catalog.add(.init(manifest: new, hash: Manifest.hash(ofEncoded: bytes), fileBytes: bytes.count))
            return true
        }
    }

    /// Publishes a manifest, whose segments are durable: steps W6 to W10, and Q4 of a repair.
    ///
    /// The caller holds the writer lock or the maintenance lock. If W7 or W8 fails, the result is
    /// read back from disk before the call returns or throws.
    ///
    /// - Parameters:
    ///   - manifest: the manifest.
    ///   - sealed: its new segments, removed if the manifest is known not to be published; nil if
    ///     other manifests name them too.
    ///   - staged: path of the temporary file; nil means one in `staging/`.
    /// - Returns: the hash of the encoded manifest.
    /// - Throws: codes `exists` (the step is committed already), `noSpace`, `readOnly`, `io`.
    @discardableResult
    package func publish(
        _ manifest: Manifest, of sealed: SealedSegments?, stagedAs staged: FilePath? = nil
    ) throws(CheckpointError) -> Hash128 {
        precondition(sealed?.cover(manifest.segments) ?? true, "a segment is not sealed")
        let bytes = manifest.encoded(digest: Hashing.digest)
        let staged = staged ?? directories.staging.appending("\(manifest.id).manifest")
        let final = directories.path(of: manifest.name)
        do {
            try fileSystem.createDurably(staged, bytes)  // W6
        } catch {
            sealed?.discard()
            throw CheckpointError(error)
        }
        do {
            try fileSystem.link(staged, to: final)  // W7 (N5, Q4), the commit point
            try fileSystem.syncDirectory(directories.manifests)  // W8
        } catch {
            try readBackOutcome(error, final, bytes, sealed)
        }
        // W9. If this fails, the next recovery removes the name in staging/.
        try? fileSystem.remove(staged)
        let hash = Manifest.hash(ofEncoded: bytes)
        // Of several ranks, rank 0 adds the checkpoint, which it reads with all parts, or else the
        // next process that opens the store for writing.
        if manifest.root == nil {
            catalog.add(.init(manifest: manifest, hash: hash, fileBytes: bytes.count))  // W10
        }
        return hash
    }

    /// Finds out whether the checkpoint is committed after W7 or W8 failed, by reading the disk;
    /// never assumes it.
    ///
    /// The segments are removed only if the name is known to be another attempt's: a manifest that
    /// may be published must not lose its segments. Recovery removes the rest.
    ///
    /// - Parameters:
    ///   - error: the failure of W7 or W8.
    ///   - final: path of the published manifest.
    ///   - bytes: the encoded manifest of this attempt.
    ///   - sealed: this attempt's segments.
    /// - Throws: if the checkpoint is not known to be committed.
    private func readBackOutcome(
        _ error: FileSystemError, _ final: FilePath, _ bytes: [UInt8], _ sealed: SealedSegments?
    ) throws(CheckpointError) {
        // If the manifest cannot be read, its owner is unknown: the segments stay, and the save
        // fails.
        let found = try? fileSystem.contents(of: final, atMost: Limits.manifestBytesMax)
        guard let found, found == bytes else {
            if found != nil { sealed?.discard() }
            throw error.errno == .fileExists
                ? CheckpointError(
                    .exists, "\(final) is already committed",
                    remedy: "Save another step: a committed step is never overwritten",
                    path: final.string)
                : CheckpointError(error)
        }
        // Published by this attempt. It counts as committed once the directory is durable. A
        // directory may be synced again, unlike a file's data.
        do { try fileSystem.syncDirectory(directories.manifests) } catch { throw CheckpointError(error) }
    }
}

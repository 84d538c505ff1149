internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import Foundation

/// Takes checkpoints out of a store: the names of their manifests first, and, when that is durable,
/// what only they needed (Formats/durability.md, sections 7, 10 and 14).
///
/// One thread. The caller holds the maintenance lock. No step needs free space.
package struct ManifestRemoval {
    /// The saves that may rely on the checkpoints (Formats/durability.md, section 8).
    package enum Users: Sendable {
        /// Only this process saves, and none of its saves in flight relies on them.
        case none
        /// Saves of other processes hold a shared lock on a manifest until they end; a reader holds
        /// it only briefly. The exclusive lock is tried for that many times.
        case others(tries: Int)
    }

    private let files: ManifestFiles
    private let catalog: CatalogIndex

    /// Creates a removal; reads nothing.
    ///
    /// - Parameters:
    ///   - files: the manifests.
    ///   - catalog: the index of the store.
    package init(files: ManifestFiles, catalog: CatalogIndex) {
        (self.files, self.catalog) = (files, catalog)
    }

    /// Removes the names of manifests, durably. No rank that is late can publish them again.
    ///
    /// - Parameters:
    ///   - attempts: the checkpoints, each with the attempt that has committed it; nil if that is
    ///     not known.
    ///   - users: which saves may rely on them.
    /// - Returns: the checkpoints that are gone: all but those in use.
    /// - Throws: the error of the system call.
    package func unpublish(
        _ attempts: [(name: ManifestName, attempt: AttemptName?)], _ users: Users
    ) throws -> [ManifestName] {
        guard !attempts.isEmpty else { return [] }
        let ranks = RankAttempts(files: files)
        let leased = try ranks.unretirable(
            attempts.compactMap(\.attempt), now: Clock.milliseconds)
        var gone: [(name: ManifestName, attempt: AttemptName?)] = []
        for checkpoint in attempts
        where checkpoint.attempt.map({ !leased.contains($0) }) ?? true {
            if try remove(checkpoint.name, users) { gone.append(checkpoint) }
        }
        try forget(gone.map(\.name))
        try ranks.retire(gone.compactMap(\.attempt))
        return gone.map(\.name)
    }

    /// Removes the name of a manifest, unless a save relies on it. It is durable, and out of the
    /// catalog, after `forget`.
    ///
    /// - Parameters:
    ///   - name: the checkpoint.
    ///   - users: which saves may rely on it.
    ///   - first: called before, under the lock.
    /// - Returns: false if the lock cannot be had: the checkpoint stays.
    /// - Throws: the error of the system call, or of `first`.
    package func remove(
        _ name: ManifestName, _ users: Users,
        after first: () throws -> Void = {}
    ) throws -> Bool {
        let path = files.directories.path(of: name)
        guard case .others(let tries) = users else {
            try first()
            try files.fileSystem.remove(path)
            return true
        }
        for attempt in 0..<tries {
            if attempt > 0 { Thread.sleep(forTimeInterval: 0.002) }
            guard let claim = try files.fileSystem.reopen(path) else { continue }
            defer { claim.close() }
            try first()
            try files.fileSystem.remove(path)
            return true
        }
        return false
    }

    /// Makes the removal of names durable, and takes them out of the catalog.
    ///
    /// - Parameter names: the checkpoints.
    /// - Throws: the error of the system call.
    package func forget(_ names: [ManifestName]) throws {
        try files.fileSystem.syncDirectory(files.directories.manifests)
        catalog.remove(names)
    }

    /// Removes what only removed checkpoints needed. One that is missing already needs no removal;
    /// what stays after an error, the next recovery removes.
    ///
    /// - Parameters:
    ///   - segments: segments that no manifest names any more.
    ///   - attempts: the attempts that had committed the checkpoints.
    ///   - discard: called with each segment that exists, to keep its file for reuse; nil unlinks
    ///     the files.
    /// - Throws: the error of the system call, and of `discard`.
    package func sweep(
        _ segments: [SegmentReference], _ attempts: [AttemptName],
        discard: ((SegmentReference) throws -> Void)? = nil
    ) throws {
        for segment in segments {
            let path = files.directories.path(of: segment.name)
            if let discard {
                guard try files.fileSystem.kind(of: path) != nil else { continue }
                try discard(segment)
            } else {
                try files.fileSystem.removeIfThere(path)
            }
        }
        for attempt in attempts { try RankAttempts(files: files).remove(attempt) }
    }
}

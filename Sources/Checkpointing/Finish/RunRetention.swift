internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// The deletion of a run's old checkpoints, after each commit.
///
/// It counts the checkpoints of one branch, across the restarts of the run.
///
/// Runs on the worker that has ended a save, or on the trainer's thread if a save finds no room,
/// and when a run is resumed; one removal at a time.
final class RunRetention: Sendable {
    private let store: CheckpointStore
    private let keepLast: Int
    private let recycles: Bool
    /// Segments of expired checkpoints, to be written over.
    let pool: SegmentPool
    private let reuse: BlockReuse?
    private let expiry: Expiry
    private let mirror: (any MirrorFollowing)?
    /// The branch's checkpoints: those of earlier restarts as they were found, and those committed
    /// since.
    private let branch = Monitor<[ManifestName: RetentionItem]>([:])
    /// Held while checkpoints are removed, with its I/O: two saves may end at the same time. Its
    /// value is not used; the thread sanitizer takes one without a size for its neighbour.
    private let removing = Monitor(false, rank: .retention)

    /// Returns nil if the run keeps every checkpoint, or if another rank removes old ones.
    init?(
        _ store: CheckpointStore, _ options: CheckpointerOptions, reuse: BlockReuse?,
        mirror: (any MirrorFollowing)?
    ) {
        guard let keepLast = options.keepLast, store.meeting?.ranks.rank ?? 0 == 0 else {
            return nil
        }
        self.store = store
        self.keepLast = keepLast
        recycles =
            options.mechanisms.recycles && store.meeting == nil
            && store.fileSystem.excludesOtherWriters
        pool = SegmentPool(fileSystem: store.fileSystem, directories: store.directories)
        self.reuse = reuse
        self.mirror = mirror
        expiry = Expiry(files: store.files, catalog: store.catalog)
    }

    /// The run continues from a checkpoint of an earlier restart.
    ///
    /// - Parameter items: the checkpoints of the branch that continues; empty if a new one begins.
    func continues(_ items: [RetentionItem]) {
        let items = Dictionary(items.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        branch.withLock { $0 = items }
    }

    /// A checkpoint was committed.
    func committed(_ manifest: Manifest) {
        expiry.committed(manifest)
        branch.withLock { $0[manifest.name] = RetentionItem(manifest) }
    }

    /// A commit failed, and its manifest may exist all the same.
    func invalidateCounts() { expiry.invalidateCounts() }

    /// Returns the branch's checkpoints that exist, in order of name, and forgets the others.
    private func present() throws(CheckpointError) -> [RetentionItem] {
        // Before the listing, which has all of these that still exist; another save may commit now.
        let known = branch.withLock { $0 }
        let items = try store.files.names().compactMap { known[$0] }
        let gone = Set(known.keys).subtracting(items.map(\.name))
        branch.withLock { branch in for name in gone { branch[name] = nil } }
        return items
    }

    /// Removes the checkpoints that the run no longer keeps.
    ///
    /// - Parameter segmentCount: segments of one save, which are kept to be written over.
    /// - Throws: the next save tries again.
    func removeExpired(segmentCount: Int) throws(CheckpointError) {
        try removing.withLock { _ throws(CheckpointError) in
            var policy = RetentionPolicy()
            policy.keepLast = keepLast
            let items = try present()
            var expired = RetentionPlan(items, policy, now: 0).removed
            guard !expired.isEmpty else { return }
            let protected = try MarkFiles(store.files).protected()
            expired.removeAll(where: protected.contains)
            // One that is being sent stays until a save ends after that.
            if let mirror {
                expired.removeAll { mirror.isSending(run: $0.run, step: $0.step) }
            }
            // Checkpoints that a save in flight reuses stay until a later save ends.
            if let reuse { expired = reuse.retire(expired) }
            guard recycles else { return try expiry.remove(expired, discard: nil) }
            try expiry.remove(expired) { segment in
                try self.pool.add(segment.name, bytes: segment.fileBytes)
            }
            pool.shrink(to: segmentCount)
        }
    }
}

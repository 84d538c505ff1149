internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState
internal import CheckpointStorage

/// The results of earlier saves that the next one builds on. Sizes in bytes.
struct SaveHistory {
    /// The chunks of a save that were found in the store.
    private struct StoredChunks {
        var plan: CapturePlan
        var groups: [Manifest.Group]
        var areStored: [Bool]
    }

    private let began = ContinuousClock.now
    private var hashes: [Hash128] = []
    private var storedBytes: Int?
    private var newBytes: Int?
    private var reusedBytes = 0
    private var storedChunks: StoredChunks?
    private var levels: LevelChooser
    /// Segments that the last save wrote.
    private(set) var segmentCount = 0

    init(workers: Int) { levels = LevelChooser(workers: workers) }

    /// A save is requested.
    mutating func called(at now: ContinuousClock.Instant) {
        levels.called(at: (now - began) / .seconds(1))
    }

    /// Chooses the encoder of a save of `bytes`.
    /// - Returns: the encoder, and the reason if the engine chose its level.
    func encoder(
        _ compression: Compression, bytes: Int
    ) -> (encoder: BlockEncoder, reason: String?) {
        guard compression == .auto else { return (BlockEncoder(compression), nil) }
        let choice = levels.choose(bytes: max(bytes - reusedBytes, 0))
        return (BlockEncoder(choice.level), choice.reason)
    }

    /// Estimates the free space that a save of `bytes` needs. Compressed sizes are known only after
    /// the first save, and the next save will probably reuse the same chunks as the last one.
    func neededBytes(_ bytes: Int, _ compression: Compression, deduplicates: Bool) -> Int {
        let stored = compression == .none ? bytes : storedBytes ?? 0
        return deduplicates ? min(stored, newBytes ?? stored) : stored
    }

    /// Chunks of a plan that its last save found in the store, or that were not allowed to change
    /// since; empty if nothing is known.
    func likelyStored(_ plan: CapturePlan, _ groups: [Manifest.Group]) -> [Bool] {
        guard let last = storedChunks, last.plan.isSame(as: plan) else { return [] }
        let isUntouched = zip(groups, last.groups).map { $0.epoch == $1.epoch }
        return zip(plan.chunks, last.areStored).map { chunk, isStored in
            isStored || isUntouched[plan.groupOfTensor[chunk.tensor].rawValue]
        }
    }

    /// Remembers a committed save, and returns its report.
    mutating func remember(
        _ manifest: Manifest, _ task: SaveTask, _ progress: SaveProgress
    ) -> SaveReport {
        let hashes = manifest.chunks.prefix(task.plan.chunks.count).map(\.hash)
        let isUnchanged = !hashes.isEmpty && hashes == self.hashes
        self.hashes = hashes
        storedBytes = manifest.storedBytes
        segmentCount = manifest.segments.count { $0.name.attempt == manifest.id }
        let report = SaveReport(manifest, task, progress, isUnchanged: isUnchanged)
        newBytes = report.newBytes
        reusedBytes = report.reusedBytes + report.derivedBytes
        levels.observe(progress.observation)
        storedChunks = task.reuse.map { _ in
            StoredChunks(
                plan: task.plan, groups: task.header.groups,
                areStored: task.chunks.withLock { $0.areStored })
        }
        return report
    }
}

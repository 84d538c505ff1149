internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState
internal import CheckpointStorage

/// The results of earlier saves that the next one builds on. Sizes in bytes.
///
/// The trainer's thread prepares saves with it; workers add the results.
final class SaveHistory: Sendable {
    /// The chunks of a save that were found in the store.
    private struct KnownChunks {
        var plan: CapturePlan
        var groups: [Manifest.Group]
        var areInStore: [Bool]
    }

    private struct State {
        var hashes: [Hash128] = []
        var storedBytes: Int?
        var newBytes: Int?
        var reusedBytes = 0
        var knownChunks: KnownChunks?
        var levels: LevelChooser
        var segmentCount = 0
    }

    private let began = ContinuousClock.now
    private let state: Monitor<State>

    init(workers: Int) {
        state = Monitor(State(levels: LevelChooser(workers: workers)), rank: .history)
    }

    /// Number of segments that the last save wrote.
    var segmentCount: Int { state.withLock { $0.segmentCount } }

    /// A save is requested.
    func called(at now: ContinuousClock.Instant) {
        state.withLock { $0.levels.called(at: (now - began) / .seconds(1)) }
    }

    /// Chooses the encoder of a save of `bytes`.
    /// - Returns: the encoder, and the choice of its level if the engine made it.
    func encoder(
        _ compression: Compression, bytes: Int
    ) -> (encoder: BlockEncoder, choice: LevelChoice?) {
        guard compression == .auto else { return (BlockEncoder(compression), nil) }
        let choice = state.withLock { $0.levels.choose(bytes: max(bytes - $0.reusedBytes, 0)) }
        return (BlockEncoder(choice.level), choice)
    }

    /// Estimates the free space that a save of `bytes` needs. Compressed sizes are known only after
    /// the first save, and the next save will probably reuse the same chunks as the last one.
    func neededBytes(_ bytes: Int, _ compression: Compression, deduplicates: Bool) -> Int {
        let (storedBytes, newBytes) = state.withLock { ($0.storedBytes, $0.newBytes) }
        let stored = compression == .none ? bytes : storedBytes ?? 0
        return deduplicates ? min(stored, newBytes ?? stored) : stored
    }

    /// Chunks of a plan that its last save found in the store, or that were not allowed to change
    /// since; empty if nothing is known.
    func likelyStored(_ plan: CapturePlan, _ groups: [Manifest.Group]) -> [Bool] {
        guard let last = state.withLock({ $0.knownChunks }), last.plan.isSame(as: plan) else {
            return []
        }
        let isUntouched = zip(groups, last.groups).map { $0.epoch == $1.epoch }
        return zip(plan.chunks, last.areInStore).map { chunk, isInStore in
            isInStore || isUntouched[plan.groupOfTensor[chunk.tensor].rawValue]
        }
    }

    /// Remembers a committed save, and returns its report.
    func remember(
        _ manifest: Manifest, _ task: SaveTask, _ progress: SaveProgress
    ) -> SaveReport {
        let hashes = task.chunks.withLock { $0.hashes }
        let known = task.reuse.map { _ in
            KnownChunks(
                plan: task.plan, groups: task.header.groups,
                areInStore: task.chunks.withLock { $0.areInStore })
        }
        return state.withLock { state in
            let isUnchanged = !hashes.isEmpty && hashes == state.hashes
            let report = SaveReport(manifest, task, progress, isUnchanged: isUnchanged)
            state.hashes = hashes
            (state.storedBytes, state.newBytes) = (manifest.storedBytes, report.newBytes)
            state.reusedBytes = report.reusedBytes + report.derivedBytes
            state.segmentCount = manifest.segments.count { $0.name.attempt == manifest.id }
            let blocked = (report.stallFence + report.stallBackpressure) / .seconds(1)
            state.levels.observe(progress.observation, blocked: blocked)
            state.knownChunks = known
            return report
        }
    }
}

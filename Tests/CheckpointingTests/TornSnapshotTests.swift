import CheckpointCodecs
internal import CheckpointDevices
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

/// Every tensor holds the step number, so a checkpoint that mixes two steps shows it.
@Suite("Torn snapshots", .timeLimit(.minutes(20)))
struct TornSnapshotTests {
    enum Fence: CaseIterable { case whole, perGroup, misnamed, none }

    /// Trains for some steps, saving at random, on a disk slow enough that captures are late.
    /// - Returns: for each checkpoint, the distinct values found in it.
    private func train(
        _ fence: Fence, _ placement: Placement = .host, seed: UInt64, capture: CheckpointerOptions.Capture = .fenced,
        compression: Compression = .none, beforeRelease: (@Sendable () -> Void)? = nil
    ) throws -> [(step: Int, values: Set<UInt64>)] {
        let memory = InMemoryFileSystem()
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if operation.verb.hasPrefix("write") { sleepMilliseconds(0.3) }
        }
        let tensors = try placement.tensors(
            sizes: [40_000, 8, 64_000, 800, 16_384, 24, 90_000, 4_096], groups: ["a", "b", "c"])
        var options = smallOptions(workers: 2)
        options.capture = capture
        options.compression = compression
        options.beforeRelease = beforeRelease
        // With large chunks all groups are captured together.
        if seed == 3 { options.chunkBytes = 256 << 10 }
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options)
        var random = SeededGenerator(seed)
        for step in 1...40 {
            update(tensors, to: UInt64(step), checkpointer, fence)
            if Int.random(in: 0..<3, using: &random) == 0 { try checkpointer.save(step: step) }
            sleepMilliseconds(Double.random(in: 0...3, using: &random))
        }
        try checkpointer.close()
        if let report = tensors.device?.report {
            #expect(report.misuses == [] && report.unpreparedCopies == 0 && report.unfinishedCopies == 0 && report.preparedRegions == 0)
        }
        return try contents(of: memory)
    }

    private func update(_ tensors: TestTensors, to value: UInt64, _ checkpointer: Checkpointer, _ fence: Fence) {
        switch fence {
        case .whole: checkpointer.mutate { tensors.fill(value) }
        case .perGroup:
            for group in ["b", "a", "c"] { checkpointer.mutate(group) { tensors.fill(value, group: group) } }
        case .misnamed: checkpointer.mutate("no such group") { tensors.fill(value) }
        case .none: tensors.fill(value)
        }
    }

    private func contents(of fileSystem: InMemoryFileSystem) throws -> [(step: Int, values: Set<UInt64>)] {
        let store = try openStore(fileSystem, for: .reading)
        return try store.checkpoints().map { try $0.get() }.map { summary in
            let copy = TestTensors(sizes: [40_000, 8, 64_000, 800, 16_384, 24, 90_000, 4_096], groups: ["a", "b", "c"])
            try store.restore(.step(summary.step), into: copy)
            return (summary.step, copy.distinctValues)
        }
    }

    @Test(
        "with the fence, every checkpoint holds exactly its own step", arguments: [Fence.whole, .perGroup, .misnamed],
        Placement.allCases)
    func fencedIsWhole(fence: Fence, placement: Placement) throws {
        for seed in 1...(placement == .host ? 3 : 2) as ClosedRange<UInt64> { try expectWhole(fence, placement, seed) }
    }

    private func expectWhole(_ fence: Fence, _ placement: Placement, _ seed: UInt64) throws {
        let checkpoints = try train(fence, placement, seed: seed)
        #expect(checkpoints.count > 5, "seed \(seed)")
        for (step, values) in checkpoints { #expect(values == [UInt64(step)], "step \(step), seed \(seed)") }
    }

    @Test("without the fence the same training tears checkpoints, and this test sees it", arguments: Placement.allCases)
    func unfencedIsTorn(placement: Placement) throws {
        let isTorn = try (1...4).contains { seed in
            try train(.none, placement, seed: seed).contains { $0.values != [UInt64($0.step)] }
        }
        #expect(isTorn)
    }

    @Test(
        "guarded, without any fence, every checkpoint holds exactly its own step",
        .enabled(if: GuardSupport.holding.isTested, "\(GuardSupport.holding.reason)"),
        arguments: [Compression.none, .lz4], 1...3 as ClosedRange<UInt64>)
    func guardedIsWhole(compression: Compression, seed: UInt64) throws {
        try expectGuardedIsWhole(compression, seed)
    }

    /// A page that was let through for one save may be protected for the next by the time at which somebody else lets it through.
    @Test(
        "guarded, whoever lets writes through is slow",
        .enabled(if: GuardSupport.holding.isTested, "\(GuardSupport.holding.reason)"),
        arguments: 1...6 as ClosedRange<UInt64>)
    func slowReleasesAreWhole(seed: UInt64) throws {
        let random = Monitor(SeededGenerator(seed), rank: .unchecked)
        try expectGuardedIsWhole(.none, seed) {
            sleepMilliseconds(random.withLock { Bool.random(using: &$0) ? Double.random(in: 0...8, using: &$0) : 0 })
        }
    }

    private func expectGuardedIsWhole(_ compression: Compression, _ seed: UInt64, beforeRelease: (@Sendable () -> Void)? = nil) throws {
        try GuardSupport.holding.check()
        let checkpoints = try train(.none, seed: seed, capture: .guarded, compression: compression, beforeRelease: beforeRelease)
        #expect(checkpoints.count > 5, "seed \(seed)")
        for (step, values) in checkpoints { #expect(values == [UInt64(step)], "step \(step), seed \(seed)") }
    }
}

import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import SystemPackage
import Testing

@testable import CheckpointMaintenance
@testable import CheckpointStorage

@Suite("Repair from a mirror", .timeLimit(.minutes(10)))
struct MirrorRepairTests {
    private let memory = InMemoryFileSystem()
    /// The same files.
    private let mirror: InMemoryFileSystem

    /// Saves four checkpoints that share blocks, and copies the store.
    init() throws {
        let tensors = TestTensors(sizes: [40_000, 64, 20_000, 12_000])
        var options = smallOptions(workers: 2)
        (options.deduplicates, options.chunkBytes) = (true, 16384)
        options.arenaBytes = 4 * 16384
        let checkpointer = try Checkpointer(
            store: openStore(memory), state: tensors, options: options)
        for step in 0..<4 {
            checkpointer.mutate {
                if step == 0 { tensors.fillPattern(1) }
                tensors.fill(UInt64(step), tensor: 1)
                tensors.fill(UInt64(step) &* 0x1_0001, tensor: 3)
            }
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        mirror = memory.copy()
    }

    private func copy() throws(CheckpointError) -> CheckpointStore {
        try openStore(mirror, for: .reading)
    }

    /// Paths of the manifest and the newest segment of a step.
    private func paths(_ step: Int) throws -> (manifest: FilePath, segment: FilePath) {
        let store = try copy()
        let name = try #require(try store.files.names().first { $0.step == step })
        let manifest = try store.files.load(name).manifest
        let segment = try #require(
            manifest.segments.first { "\($0.name)".hasPrefix("\(manifest.id)") })
        return (store.directories.path(of: name), store.directories.path(of: segment.name))
    }

    private func flip(_ path: FilePath, in fileSystem: InMemoryFileSystem, at offset: Int) throws {
        var bytes = try #require(fileSystem.files[path])
        bytes[offset] ^= 1
        fileSystem.overwrite(path, with: bytes)
    }

    /// Damages four files in four ways.
    ///
    /// - Returns: the files, in order of path, and what those that exist contain now.
    private func damageAll() throws -> [(path: FilePath, bytes: [UInt8]?)] {
        let paths = try (0..<4).map { try self.paths($0) }
        try flip(paths[0].segment, in: memory, at: 8192)
        let whole = try #require(memory.files[paths[1].segment])
        memory.overwrite(paths[1].segment, with: Array(whole.dropLast(8192)))
        try memory.remove(paths[2].segment)
        try flip(paths[3].manifest, in: memory, at: 200)
        return [paths[0].segment, paths[1].segment, paths[2].segment, paths[3].manifest]
            .sorted { $0.string < $1.string }.map { ($0, memory.files[$0]) }
    }

    /// Every file of the store is that of the mirror; each damaged one is in quarantine.
    private func check(
        _ fileSystem: InMemoryFileSystem, _ damaged: [(path: FilePath, bytes: [UInt8]?)],
        _ comment: Comment
    ) throws {
        let isOfStore = { (path: FilePath) in
            path.string.hasPrefix("/store/segments/") || path.string.hasPrefix("/store/manifests/")
        }
        let (own, other) = (
            fileSystem.files.filter { isOfStore($0.key) }, mirror.files.filter { isOfStore($0.key) }
        )
        #expect(own == other, comment)
        let kept = fileSystem.files.filter { $0.key.string.hasPrefix("/store/quarantine/") }.values
        for bytes in damaged.compactMap(\.bytes) { #expect(kept.contains(bytes), comment) }
        #expect(try openStore(fileSystem, for: .reading).verify().isWhole, comment)
    }

    @Test("Every damaged or missing file comes back, byte for byte")
    func everything() throws {
        let damaged = try damageAll()
        let before = memory.files
        let dry = try openStore(memory, for: .reading).repair(from: copy(), isDryRun: true)
        #expect(memory.files == before)
        let report = try openStore(memory, for: .maintaining).repair(from: copy())
        #expect(report.isWithoutLoss && report.moved.isEmpty)
        #expect(Set(report.mended) == Set(damaged.compactMap { $0.path.lastComponent?.string }))
        #expect(report.mended == dry.mended && report.mendedBytes == dry.mendedBytes)
        #expect(dry.isWithoutLoss && dry.quarantined.isEmpty)
        try check(memory, damaged, "repaired")
        let again = try openStore(memory, for: .maintaining).repair(from: copy())
        #expect(again.mended.isEmpty)
    }

    @Test("What was repaired survives a loss of power")
    func durable() throws {
        let damaged = try damageAll()
        let seed = Seeds.random()
        _ = try openStore(memory, for: .maintaining).repair(from: copy())
        var random = SeededGenerator(seed)
        for _ in 0..<8 { try check(memory.crashed(&random), damaged, "seed \(seed)") }
    }

    @Test("A file that is damaged in the mirror, too, is repaired as without one")
    func bothDamaged() throws {
        let (first, second) = (try paths(0).segment, try paths(3).segment)
        try flip(first, in: memory, at: 8192)
        try flip(second, in: memory, at: 4096)
        try flip(first, in: mirror, at: 4096)
        let report = try openStore(memory, for: .maintaining).repair(from: copy())
        #expect(report.mended == [second.lastComponent?.string])
        #expect(!report.losses.isEmpty)
        #expect(memory.files[second] == mirror.files[second])
        #expect(try openStore(memory, for: .reading).verify().isWhole)
    }

    @Test("Another store is refused")
    func another() throws {
        let other = InMemoryFileSystem()
        _ = try openStore(other)
        #expect {
            try openStore(memory, for: .maintaining)
                .repair(from: openStore(other, for: .reading))
        } throws: {
            ($0 as? CheckpointError)?.code == .misuse
        }
    }

    @Test("Killed at every operation, what was damaged is kept, and another run finishes")
    func everyOperation() throws {
        let damaged = try damageAll()
        let seed = Seeds.random()
        var random = SeededGenerator(seed)
        for k in 0... {
            let disk = memory.copy()
            let counter = FaultCounter()
            let dying = HookedFileSystem(
                disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the crash.
            _ = try? openStore(dying, for: .maintaining).repair(from: copy())
            let left = disk.crashed(&random)
            // A writer's recovery comes in between.
            _ = try openStore(left)
            let report = try openStore(left, for: .maintaining).repair(from: copy())
            let comment: Comment = "crash at operation \(k), seed \(seed)"
            #expect(report.isWithoutLoss, comment)
            try check(left, damaged, comment)
            if counter.operations <= k {
                #expect(k > 15)
                break
            }
        }
    }

    @Test("One operation that fails is told, and another run finishes")
    func everyOperationFailsOnce() throws {
        let damaged = try damageAll()
        for k in 0... {
            let disk = memory.copy()
            let counter = FaultCounter()
            let faulty = HookedFileSystem(
                disk, before: counter.hook(failAt: k, .noSpace, forEver: false))
            // It may end with the error, or go on without what failed.
            _ = try? openStore(faulty, for: .maintaining).repair(from: copy())
            _ = try openStore(disk, for: .maintaining).repair(from: copy())
            try check(disk, damaged, "failure at operation \(k)")
            if counter.operations <= k { break }
        }
    }
}

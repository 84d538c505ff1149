internal import CheckpointStorage
internal import CheckpointMaintenance
import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointSegments
import CheckpointState
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

/// The public read API: one checkpoint, opened and read in part.
@Suite("Reading a checkpoint", .timeLimit(.minutes(20)))
struct CheckpointReadingTests {
    private let sizes = [104, 3 * 4096 + 80]
    private let random = #"{"seed":7}"#

    /// Tensors with one object.
    private struct Sample: StateProvider {
        let tensors: TestTensors
        let random: String

        func describe(to inventory: inout StateInventory) throws {
            try tensors.describe(to: &inventory)
            let text = Array(random.utf8)
            inventory.add(
                object: "random", role: .rng, encoding: .json, freeze: { { text } }, restore: { _ in })
        }
    }

    /// A store of three steps, each tensor in several chunks, with one object.
    private func sample() throws -> (memory: InMemoryFileSystem, states: [[UInt8]]) {
        let memory = InMemoryFileSystem()
        let tensors = TestTensors(sizes: sizes)
        let checkpointer = try Checkpointer(
            store: openStore(memory), state: Sample(tensors: tensors, random: random),
            options: smallOptions())
        var states: [[UInt8]] = []
        for step in 1...3 {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            try checkpointer.save(step: step, metrics: ["loss": 1 / Double(step)]).wait()
            states.append(tensors.bytes)
        }
        try checkpointer.close()
        return (memory, states)
    }

    private func manifest(_ step: Int, _ store: CheckpointStore) throws -> FilePath {
        store.directories.path(of: try store.checkpoint(.step(step)).manifest.name)
    }

    private func segment(_ step: Int, _ store: CheckpointStore) throws -> FilePath {
        store.directories.path(of: try store.checkpoint(.step(step)).manifest.segments[0].name)
    }

    @Test("it lists tensors and objects, with shapes, shards, sizes and completeness")
    func describes() throws {
        let (memory, _) = try sample()
        let checkpoint = try openStore(memory, for: .reading).checkpoint(.step(2))
        #expect(checkpoint.summary.step == 2)
        #expect(checkpoint.summary.metrics == ["loss": 0.5])
        #expect(checkpoint.tensors.map(\.name) == ["tensor.0", "tensor.1"])
        #expect(checkpoint.tensors.map(\.shape) == sizes.map { [$0 / 8] })
        #expect(checkpoint.tensors.map(\.byteCount) == sizes)
        #expect(checkpoint.tensors[1].shards == [.init(offset: [0], extent: [sizes[1] / 8])])
        #expect(checkpoint.tensors[1].storage.bytes == sizes[1])
        #expect(checkpoint.objects.map(\.byteCount) == [random.utf8.count])
        let states = checkpoint.completeness.parts.map { "\($0.name) \($0.presence)" }
        #expect(states == [
            "parameters present", "optimizer missing", "rng present", "data missing",
            "schedule missing",
        ])
    }

    @Test("any range of a tensor has the bytes that were saved", arguments: 0..<40 as Range<UInt64>)
    func readsRanges(seed: UInt64) throws {
        let (memory, states) = try sample()
        let checkpoint = try openStore(memory, for: .reading).checkpoint(.step(3))
        let saved = Array(states[2][sizes[0]...])
        var generator = SeededGenerator(seed)
        let bounds = [0, 0].map { _ in Int.random(in: 0...saved.count, using: &generator) }.sorted()
        let range = bounds[0]..<bounds[1]
        #expect(try checkpoint.bytes(ofTensor: "tensor.1", range: range) == Array(saved[range]))
    }

    @Test("a tensor is read whole into memory, and its digest is that of its bytes")
    func readsWhole() throws {
        let (memory, states) = try sample()
        let checkpoint = try openStore(memory, for: .reading).checkpoint()
        let tensor = try TensorBuffer(.u64, [sizes[1] / 8])
        try checkpoint.read(tensor: "tensor.1", into: tensor.view)
        #expect(tensor.region.array == Array(states[2][sizes[0]...]))
        #expect(try checkpoint.digest(ofTensor: "tensor.1") == tensor.region.hash128)
        var streamed: [UInt8] = []
        try checkpoint.withBytes(ofTensor: "tensor.1") { bytes throws(CheckpointError) in streamed += bytes }
        #expect(streamed == tensor.region.array)
        #expect(try checkpoint.statistics(ofTensor: "tensor.1").elements == sizes[1] / 8)
        #expect(try checkpoint.bytes(ofObject: "random") == Array(random.utf8))
        try checkpoint.check()
    }

    @Test("what cannot be read is named, with the nearest name, the form, or the size")
    func refuses() throws {
        let (memory, _) = try sample()
        let checkpoint = try openStore(memory, for: .reading).checkpoint()
        func error(_ body: () throws -> Void) -> CheckpointError? {
            do { try body() } catch { return error as? CheckpointError }
            return nil
        }
        let missing = error { _ = try checkpoint.bytes(ofTensor: "tensor.9") }
        #expect(missing?.code == .notFound)
        #expect(missing?.remedy?.contains("tensor.0") == true)
        #expect(error { _ = try checkpoint.bytes(ofObject: "randon") }?.remedy?.contains("random") == true)
        #expect(error { _ = try checkpoint.bytes(ofTensor: "tensor.0", range: 0..<105) }?.code == .misuse)
        #expect(error { _ = try checkpoint.bytes(ofTensor: "tensor.0", range: -1..<4) }?.code == .misuse)
        let small = try TensorBuffer(.u64, [12])
        let mismatch = error { try checkpoint.read(tensor: "tensor.0", into: small.view) }
        #expect(mismatch?.code == .mismatch)
        #expect(mismatch?.message.contains("[13]") == true)
        let fitting = try TensorBuffer(.u64, [13])
        #expect(error { try checkpoint.read(tensor: "tensor.0", into: fitting.view, threads: 0) }?.code == .misuse)
    }

    // MARK: Looking up

    @Test("a tensor that is looked up is that of the checkpoint, and what is missing is named the same")
    func looksUp() throws {
        let (memory, states) = try sample()
        let store = try openStore(memory, for: .reading)
        let lookup = try store.lookup()
        #expect(lookup.step == 3)
        #expect(lookup.tensorCount == 2)
        #expect(try lookup.tensor("tensor.1")?.shape == [sizes[1] / 8])
        #expect(try lookup.tensor("tensor.9") == nil)
        #expect(try lookup.bytes(ofTensor: "tensor.0") == Array(states[2][..<sizes[0]]))
        #expect(try lookup.bytes(ofTensor: "tensor.1", range: 8..<24)
            == Array(states[2][sizes[0] + 8..<sizes[0] + 24]))
        let tensor = try TensorBuffer(.u64, [sizes[1] / 8])
        try lookup.read(tensor: "tensor.1", into: tensor.view)
        #expect(tensor.region.array == Array(states[2][sizes[0]...]))
        let error = #expect(throws: CheckpointError.self) { try lookup.bytes(ofTensor: "tensor.9") }
        let same = #expect(throws: CheckpointError.self) {
            try lookup.checkpoint().bytes(ofTensor: "tensor.9")
        }
        #expect(error?.description == same?.description)
        #expect(error?.remedy?.contains("tensor.0") == true)
    }

    @Test("a damaged manifest is skipped by the lookup of latest, and of no other")
    func looksUpPastDamage() throws {
        let (memory, _) = try sample()
        let store = try openStore(memory, for: .reading)
        let path = try manifest(3, store)
        var bytes = try #require(memory.files[path])
        bytes[100] ^= 1
        try memory.remove(path)
        try memory.createDurably(path, bytes)
        let lookup = try store.lookup()
        #expect(lookup.step == 2)
        #expect(lookup.skipped.map(\.code) == [.damaged])
        #expect(try lookup.checkpoint().skipped.map(\.code) == [.damaged])
        let error = #expect(throws: CheckpointError.self) { try store.lookup(.step(3)) }
        #expect(error?.code == .damaged && error?.path == path.string)
        #expect(throws: CheckpointError.self) { try store.lookup(.step(4)) }
    }

    // MARK: Walking back

    @Test("a missing segment is damage, and latest walks back past it")
    func missingSegment() throws {
        let (memory, states) = try sample()
        let store = try openStore(memory, for: .reading)
        try memory.remove(segment(3, store))
        let error = #expect(throws: CheckpointError.self) {
            try store.checkpoint().bytes(ofTensor: "tensor.0")
        }
        #expect(error?.code == .damaged)
        let intact = try store.newestIntact()
        #expect(intact.summary.step == 2)
        #expect(intact.skipped.map(\.code) == [.damaged])
        #expect(try intact.bytes(ofTensor: "tensor.0") == Array(states[1][..<sizes[0]]))
        let copy = TestTensors(sizes: sizes)
        let report = try store.restore(.latest, into: copy, mode: .partial)
        #expect(report.step == 2)
        #expect(report.skipped.map(\.code) == [.damaged])
    }

    @Test("a checkpoint that is removed after it was listed is skipped without a word")
    func removedWhileWalking() throws {
        let (memory, _) = try sample()
        let store = try openStore(memory, for: .reading)
        let (second, third) = (try manifest(2, store), try manifest(3, store))
        var seen: [Int] = []
        let (step, skipped) = try store.withCheckpoint(.latest) { checkpoint throws(CheckpointError) in
            seen.append(checkpoint.summary.step)
            if checkpoint.summary.step == 3 {
                // Retention removes two checkpoints while the newest is being read.
                do { try memory.remove(second); try memory.remove(third) } catch {
                    throw CheckpointError(any: error, during: "removing")
                }
                throw CheckpointError(.damaged, "the segment is missing")
            }
            return checkpoint.summary.step
        }
        #expect(step == 1)
        #expect(seen == [3, 1])
        #expect(skipped.isEmpty)
    }

    @Test("when all listed checkpoints are removed, the newer ones are found")
    func allRemovedWhileWalking() throws {
        let (memory, _) = try sample()
        let store = try openStore(memory, for: .reading)
        let paths = try (1...3).map { try manifest($0, store) }
        let kept = try #require(memory.files[paths[1]])
        for path in paths[...1] { try memory.remove(path) }
        let (step, skipped) = try store.withCheckpoint(.latest) { checkpoint throws(CheckpointError) in
            guard checkpoint.summary.step == 3 else { return checkpoint.summary.step }
            // The only one listed goes, and another is committed meanwhile.
            do { try memory.remove(paths[2]); try memory.createDurably(paths[1], kept) } catch {
                throw CheckpointError(any: error, during: "removing")
            }
            throw CheckpointError(.damaged, "the segment is missing")
        }
        #expect(step == 2)
        #expect(skipped.isEmpty)
    }

    @Test("a full disk ends the walk, even if the checkpoint is removed at that moment")
    func fullDiskEndsTheWalk() throws {
        let (memory, _) = try sample()
        let store = try openStore(memory, for: .reading)
        let newest = try manifest(3, store)
        let error = #expect(throws: CheckpointError.self) {
            _ = try store.withCheckpoint(.latest) { _ throws(CheckpointError) in
                do { try memory.remove(newest) } catch { throw CheckpointError(any: error, during: "removing") }
                throw CheckpointError(.noSpace, "the disk is full")
            }
        }
        #expect(error?.code == .noSpace)
    }

    @Test("an error that is no damage ends the walk")
    func otherErrorsEndTheWalk() throws {
        let (memory, _) = try sample()
        let store = try openStore(memory, for: .reading)
        var calls = 0
        let error = #expect(throws: CheckpointError.self) {
            _ = try store.withCheckpoint(.latest) { _ throws(CheckpointError) in
                calls += 1
                throw CheckpointError(.notFound, "no tensor matches")
            }
        }
        #expect(error?.code == .notFound)
        #expect(calls == 1)
    }
}

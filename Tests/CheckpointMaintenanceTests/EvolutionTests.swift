import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
@testable import CheckpointMaintenance
import CheckpointSegments
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import Testing

/// How the parameters of a model change from checkpoint to checkpoint.
@Suite(.timeLimit(.minutes(20))) struct EvolutionTests {
    @Test("Norms and updates are those of the numbers; a damaged checkpoint is left out")
    func norms() throws {
        let memory = try OwnedBytes(zeros: 8)
        let weights = TensorState(
            "m.h.0.weight", try TensorView(memory.lent, type: .f32, shape: [2]))
        let store = try openStore(InMemoryFileSystem())
        let checkpointer = try Checkpointer(store: store, state: weights, options: smallOptions())
        func save(_ step: Int, _ values: [Float]) throws {
            checkpointer.mutate {
                let bytes = values.flatMap { value in
                    (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
                }
                memory.region.store(bytes[...])
            }
            try checkpointer.save(step: step).wait()
        }
        try save(1, [3, 4])
        try save(2, [3, 4])
        try save(3, [0, 4])
        try save(4, [0, 12])
        try checkpointer.close()
        let name = try #require(store.files.names().dropFirst(2).first)
        let path = store.directories.path(of: name)
        let bytes = try #require(try store.fileSystem.contents(of: path, atMost: 1 << 20))
        let summaries = try store.checkpoints().reversed().map { try $0.get() }
        try store.fileSystem.remove(path)
        let damaged = try store.fileSystem.create(path)
        try damaged.write(bytes.dropLast() + [bytes[bytes.count - 1] ^ 1], at: 0)
        damaged.close()
        var counts: [Int] = []
        let evolution = try store.evolution(of: summaries) { done, total in
            counts.append(done)
            #expect(total == 4 || total == 3)
        }
        #expect(counts == [0, 1, 2, 3, 3])
        #expect(evolution.checkpoints.map(\.step) == [1, 2, 4] && evolution.damaged.count == 1)
        #expect(evolution.damaged.first?.code == .damaged)
        let layer = try #require(evolution.layers.first)
        #expect(evolution.layers.count == 1 && layer.name == "m.h.0")
        #expect(layer.tensors == ["m.h.0.weight"])
        #expect(layer.norms == [5, 5, 12] && layer.updates == [nil, 0, Double(73).squareRoot()])
        #expect(layer.relativeUpdates == [nil, 0, Double(73).squareRoot() / 5])
        let histogram = try #require(evolution.histograms.first)
        #expect(histogram.tensor == "m.h.0.weight" && histogram.range == 0...12)
        #expect(histogram.series.map(\.checkpoint) == [0, 1, 2])
        #expect(histogram.series.allSatisfy { $0.counts.reduce(0, +) == 2 })
        #expect(try store.evolution(of: []).layers.isEmpty)
    }

    private func node(_ id: UInt128, _ run: UInt128, _ step: Int, parent: UInt128? = nil) -> Ancestry.Node {
        Ancestry.Node(
            id: CheckpointID(rawValue: id), run: RunID(rawValue: run), step: step, parent: parent.map { CheckpointID(rawValue: $0) })
    }

    @Test func aPathLeadsThroughTheRunsThatWereResumed() {
        let nodes = [
            node(1, 1, 10), node(2, 1, 20), node(3, 1, 30), node(4, 2, 25, parent: 2), node(5, 2, 30, parent: 2), node(6, 3, 5),
        ]
        #expect(Ancestry.path(to: 4, in: nodes) == [0, 1, 3, 4])
        #expect(Ancestry.path(to: 2, in: nodes) == [0, 1, 2])
        #expect(Ancestry.path(to: 5, in: nodes) == [5])
    }

    @Test func aForgedCircleEnds() {
        let nodes = [node(1, 1, 10, parent: 2), node(2, 2, 5, parent: 1)]
        #expect(Ancestry.path(to: 0, in: nodes) == [1, 0])
    }

    @Test func someStandForMany() {
        #expect(Ancestry.evenly(Array(0..<5), 10) == [0, 1, 2, 3, 4])
        #expect(Ancestry.evenly(Array(0...100), 5) == [0, 25, 50, 75, 100])
        #expect(Ancestry.evenly(Array(0..<7), 2) == [0, 6])
    }

    @Test func layersAreWhatNamesHaveInCommon() {
        let names = ["m.h.0.attn.weight", "m.h.0.attn.bias", "m.h.0.mlp.weight", "m.h.1.attn.weight", "m.wte"]
        #expect(LayerGroups.group(names, limit: 10).map(\.layer) == ["m.h.0.attn", "m.h.0.mlp", "m.h.1.attn", "m"])
        #expect(LayerGroups.group(names, limit: 3).map(\.layer) == ["m.h.0", "m.h.1", "m"])
        #expect(LayerGroups.group(names, limit: 3).map(\.members) == [[0, 1, 2], [3], [4]])
        #expect(LayerGroups.group(["a", "b", "c"], limit: 2).map(\.layer) == ["a", "others"])
        #expect(LayerGroups.group(["a", "b", "c"], limit: 2).map(\.members) == [[0], [1, 2]])
        #expect(LayerGroups.group([], limit: 2).isEmpty)
    }
}

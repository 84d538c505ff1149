import CheckpointFormat
import CheckpointSharding
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Testing

/// Restores into tensors of another type.
@Suite("Restore with conversion", .timeLimit(.minutes(5)))
struct RestoreTypesTests {
    private static let shape = [37, 41]

    /// A store with `w` as f32, of several chunks, `n` as i32, and an object.
    private func saved() throws -> (store: CheckpointStore, values: [Float]) {
        let files = InMemoryFileSystem()
        let values = (0..<37 * 41).map { Float($0) / 7 }
        let weight = try OwnedTensor<Float>(repeating: 0, shape: Self.shape)
        weight.withElements { for index in values.indices { $0[index] = values[index] } }
        let count = try OwnedTensor<Int32>(repeating: 3, shape: [2])
        let state = CompositeState {
            TensorState("w", weight.view)
            TensorState("n", count.view)
        }
        let checkpointer = try Checkpointer(store: openStore(files), state: state, options: smallOptions())
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        return (try openStore(files, for: .reading), values)
    }

    private func brain(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        return UInt16((bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    @Test("a bf16 state takes the nearest values of an f32 checkpoint, and the report says so")
    func converted() throws {
        let (store, values) = try saved()
        let weight = try OwnedTensor<UInt16>(repeating: 1, shape: Self.shape)
        let count = try OwnedTensor<Int32>(repeating: 0, shape: [2])
        let view = try TensorView(weight.view.memory, type: .bf16, shape: Self.shape)
        let state = CompositeState {
            TensorState("w", view)
            TensorState("n", count.view)
        }
        let report = try store.restore(.latest, into: state, types: .convertFloats)
        #expect(weight.values == values.map(brain))
        #expect(count.values == [3, 3])
        #expect(report.converted.map(\.description) == ["w from f32 to bf16"])
        #expect(report.overflowCount == 0)
    }

    @Test("a rank's columns, transposed memory and double precision are converted in place")
    func shards() throws {
        let (store, values) = try saved()
        let mesh = try RankMesh(["tp": 3])
        for rank in 0..<3 {
            let shard = try TensorSharding(Self.shape).split(1, over: "tp").permuted([1, 0])
                .shard(of: rank, in: mesh)
            let memory = try OwnedTensor<Double>(repeating: -1, shape: shard.memoryShape)
            let report = try store.restore(
                .latest, into: TensorState("w", memory.view, of: shard), mode: .subset,
                types: .convertFloats, threads: 2)
            let columns = (0..<41).filter { $0 / 14 == rank }
            let expected = columns.flatMap { column in (0..<37).map { Double(values[$0 * 41 + column]) } }
            #expect(memory.values == expected)
            #expect(report.converted.map(\.description) == ["w from f32 to f64"])
        }
    }

    @Test("what is too large for the type becomes infinite, and is counted")
    func overflow() throws {
        let files = InMemoryFileSystem()
        let weight = try OwnedTensor<Float>(repeating: 1e6, shape: [100])
        weight.withElements { $0[7] = 1; $0[8] = .infinity }
        let checkpointer = try Checkpointer(
            store: openStore(files), state: TensorState("w", weight.view), options: smallOptions())
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        let half = try OwnedTensor<UInt16>(repeating: 0, shape: [100])
        let view = try TensorView(half.view.memory, type: .f16, shape: [100])
        let report = try openStore(files, for: .reading).restore(
            .latest, into: TensorState("w", view), types: .convertFloats)
        #expect(report.overflowCount == 98)
        #expect(half.values.count { Float16(bitPattern: $0).isInfinite } == 99)
        #expect(Float16(bitPattern: half.values[7]) == 1)
    }

    @Test("what a rank does not need is not counted, though it is in the same chunk")
    func overflowOfAnotherRank() throws {
        let files = InMemoryFileSystem()
        let weight = try OwnedTensor<Float>(repeating: 1, shape: [4, 4])
        weight.withElements { for index in [12, 13, 14, 15] { $0[index] = 1e6 } }
        let checkpointer = try Checkpointer(
            store: openStore(files), state: TensorState("w", weight.view), options: smallOptions())
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        let mesh = try RankMesh(["tp": 2])
        for (dimension, expected) in [(0, [0, 4]), (1, [2, 2])] {
            for rank in 0..<2 {
                let shard = try TensorSharding([4, 4]).split(dimension, over: "tp").shard(of: rank, in: mesh)
                let half = try OwnedTensor<UInt16>(repeating: 0, shape: shard.memoryShape)
                let view = try TensorView(half.view.memory, type: .f16, shape: shard.memoryShape)
                let report = try openStore(files, for: .reading).restore(
                    .latest, into: TensorState("w", view, of: shard), types: .convertFloats)
                #expect(report.overflowCount == expected[rank])
                #expect(half.values.count { Float16(bitPattern: $0).isInfinite } == expected[rank])
                #expect(half.values.allSatisfy { Float16(bitPattern: $0) >= 1 })
            }
        }
    }

    @Test("without leave nothing is converted, and the error says how; integers and shapes never are")
    func refused() throws {
        let (store, _) = try saved()
        let half = try OwnedTensor<UInt16>(repeating: 9, shape: Self.shape)
        let view = try TensorView(half.view.memory, type: .f16, shape: Self.shape)
        let strict = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: TensorState("w", view), mode: .subset)
        }
        #expect(strict?.code == .mismatch && strict?.remedy?.contains(".convertFloats") == true, "\(strict!)")
        #expect(half.values.allSatisfy { $0 == 9 })
        let long = try OwnedTensor<Float>(repeating: 0, shape: [2])
        let number = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: TensorState("n", long.view), mode: .subset, types: .convertFloats)
        }
        #expect(number?.code == .mismatch && number?.remedy?.contains("convertFloats") == false)
        let flat = try TensorView(half.view.memory, type: .f16, shape: [37 * 41])
        #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: TensorState("w", flat), mode: .subset, types: .convertFloats)
        }
    }
}

import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointSharding
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Testing

/// Tensors of which one process holds several shards, each with memory of its own.
@Suite("Several shards of a tensor in one process", .timeLimit(.minutes(20)))
struct SeveralShardsTests: RankedCheckpointing {
    /// Experts that are tensors of their own, and heads of queries, keys and values that are
    /// interleaved in memory.
    final class Experts: StateProvider {
        static let shape = [6, 40, 30]
        static let heads = [24, 50]
        let shards: [(name: String, shard: TensorShard, memory: OwnedTensor<Float>)]

        /// - Parameter isGrouped: whether the rank has its experts as one tensor.
        init(_ rank: Int, of worldSize: Int, isGrouped: Bool = false) throws {
            let mesh = try RankMesh(["ep": worldSize])
            let whole = TensorSharding(Self.shape)
            let own =
                isGrouped
                ? [whole.split(0, over: "ep")]
                : (0..<Self.shape[0]).filter { $0 % worldSize == rank }.map {
                    whole.only("ep", at: rank).slice(0, at: $0)
                }
            let qkv = TensorSharding(Self.heads).fused(
                0, [FusedSection](repeating: FusedSection(units: 4, of: 2), count: 3),
                .interleaved, over: "ep")
            shards = try (own.map { ("experts", $0) } + [("qkv", qkv)]).map { name, sharding in
                let shard = try sharding.shard(of: rank, in: mesh)
                return (name, shard, try OwnedTensor(repeating: -1, shape: shard.memoryShape))
            }
        }

        func describe(to inventory: inout StateInventory) throws {
            for (index, (name, shard, memory)) in shards.enumerated() {
                try TensorState(name, memory.view, of: shard).describe(to: &inventory)
                // Shards of a tensor need not follow each other.
                let scale = try OwnedTensor<Float>(repeating: 7, shape: [1])
                let coordinate = "\(shard.pieces.first?.offset ?? 0).\(index)"
                try TensorState("scale.\(name).\(coordinate)", scale.view).describe(to: &inventory)
            }
        }

        private static func value(_ position: Int, _ name: String, _ step: Int) -> Float {
            Float(position * 8 + name.utf8.count + step * 100_003)
        }

        private static func expected(
            _ name: String, _ shard: TensorShard, _ step: Int
        ) -> [Float] {
            var memory = [Float](repeating: -1, count: shard.memoryShape.reduce(1, *))
            for piece in shard.pieces {
                for (position, place) in zip(
                    positions(piece.elements), positions(piece.localElements))
                { memory[place] = value(position, name, step) }
            }
            return memory
        }

        func update(to step: Int) {
            for (name, shard, memory) in shards {
                let values = Self.expected(name, shard, step)
                memory.withElements { for index in values.indices { $0[index] = values[index] } }
            }
        }

        func isAt(_ step: Int) -> Bool {
            shards.allSatisfy { $2.values == Self.expected($0, $1, step) }
        }
    }

    /// Restores the experts and heads alone: the scales differ from world to world.
    private func restored(
        _ store: CheckpointStore, _ state: Experts, _ reference: CheckpointReference = .latest
    ) throws -> RestoreReport {
        let tensors = CompositeState(
            children: state.shards.map { TensorState($0.name, $0.memory.view, of: $0.shard) })
        return try store.restore(reference, into: tensors, mode: .subset)
    }

    @Test("One, two and four processes save experts of their own; any other world restores them",
        arguments: [1, 2, 4])
    func worlds(_ worldSize: Int) throws {
        let files = InMemoryFileSystem()
        let options = options()
        let errors = try onEachRank(worldSize) { rank in
            let store = try open(files, rank, of: worldSize, launch: "job")
            let state = try Experts(rank, of: worldSize)
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            for step in 1...2 {
                checkpointer.mutate { state.update(to: step) }
                try checkpointer.save(step: step).wait()
            }
            // In place, too.
            checkpointer.mutate { state.update(to: 3) }
            let report = try checkpointer.restore(.step(2))
            #expect(state.isAt(2) && report.missing.isEmpty)
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        let store = try openStore(files, for: .reading)
        #expect(try store.verify().findings.isEmpty)
        let checkpoint = try store.checkpoint(.latest)
        let experts = try #require(checkpoint.manifest.tensors.first { $0.name == "experts" })
        #expect(experts.shards.count == Experts.shape[0])
        for other in 1...5 {
            for isGrouped in [false, true] {
                for rank in 0..<other where isGrouped || rank < Experts.shape[0] {
                    let state = try Experts(rank, of: other, isGrouped: isGrouped)
                    let report = try restored(store, state)
                    #expect(state.isAt(2), "rank \(rank) of \(other)")
                    #expect(report.tensorCount == 2)
                }
            }
        }
        // The complete tensor, in order.
        let whole = try OwnedTensor<Float>(repeating: 0, shape: Experts.shape)
        try store.restore(.latest, into: TensorState("experts", whole.view), mode: .subset)
        let bytes = whole.values.flatMap { value in
            (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
        }
        #expect(try checkpoint.bytes(ofTensor: "experts") == bytes)
    }

    @Test(
        "Shards are reused, repacked as deltas, and restored from every step",
        arguments: [1, 2], [CheckpointerOptions.Capture.fenced, .checked])
    func maintained(_ worldSize: Int, _ capture: CheckpointerOptions.Capture) throws {
        let files = InMemoryFileSystem()
        let steps = 4
        let reused = Box(0)
        var options = options()
        (options.capture, options.compression, options.deduplicates) = (capture, .balanced, true)
        options.onEvent = { event in
            guard case .committed(let report) = event else { return }
            reused.withLock { $0 += report.reusedBytes }
        }
        let errors = try onEachRank(worldSize) { [options] rank in
            let store = try open(files, rank, of: worldSize, launch: "job")
            let state = try Experts(rank, of: worldSize)
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            for step in 1...steps {
                checkpointer.mutate {
                    // All but the heads stay as they were after the third step.
                    step < steps ? state.update(to: step) : state.shards.last.map {
                        $0.memory.withElements { $0[0] = 99 }
                    }
                }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        // Several ranks write everything again.
        #expect(worldSize > 1 || reused.value > Experts.shape.reduce(4, *) / 2)
        let maintained = try openStore(files, for: .maintaining)
        #expect(try maintained.repack().checkpoints.contains { $0.deltaCount > 0 })
        try maintained.close()
        let store = try openStore(files, for: .reading)
        #expect(try store.verify().findings.allSatisfy { $0.kind == .note })
        for step in 1..<steps {
            for isGrouped in [false, true] {
                let state = try Experts(0, of: 1, isGrouped: isGrouped)
                _ = try restored(store, state, .step(step))
                #expect(state.isAt(step), "step \(step)")
            }
        }
    }

    @Test("A process that saves alone and lacks a shard is told which tensor")
    func incomplete() throws {
        let store = try openStore(InMemoryFileSystem())
        let state = try Experts(0, of: 1)
        let lacking = CompositeState(
            children: state.shards.filter { $0.shard.pieces.first?.offset != 2400 }.map {
                TensorState($0.name, $0.memory.view, of: $0.shard)
            })
        let options = options()
        let error = #expect(throws: CheckpointError.self) {
            let checkpointer = try Checkpointer(store: store, state: lacking, options: options)
            defer { try? checkpointer.close() }
            try checkpointer.save(step: 1).wait()
        }
        #expect(error?.code == .misuse && error?.names == ["experts"])
        #expect(error?.remedy?.contains("declare all shards") == true)
        let report = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: lacking)
        }
        #expect(report?.code == .notFound, "nothing was saved")
    }

    @Test("What no reader would accept is not saved")
    func unreadable() throws {
        let store = try openStore(InMemoryFileSystem())
        // The sum of the halves has whole bytes, and so has each; rows have not.
        let halves = try (0..<2).map { half in
            TensorState(
                "packed", try TensorView(OwnedBytes(zeros: 3).lent, type: .u4, shape: [2, 3]),
                of: try TensorShard(offset: [2 * half, 0], extent: [2, 3], of: [4, 3]))
        }
        let options = options()
        let error = #expect(throws: CheckpointError.self) {
            let checkpointer = try Checkpointer(
                store: store, state: CompositeState(children: halves), options: options)
            defer { try? checkpointer.close() }
            try checkpointer.save(step: 1).wait()
        }
        #expect(error?.code == .misuse && error?.message.contains("splits a byte of u4") == true)
        #expect(try store.files.names().isEmpty)
    }

    @Test("A shard of a tensor whose complete shape has changed is checked again")
    func changedShape() throws {
        let store = try openStore(InMemoryFileSystem())
        let memory = try OwnedTensor<Float>(repeating: 1, shape: [2, 600])
        let rows = Box(2)
        struct Growing: StateProvider {
            let memory: OwnedTensor<Float>
            let rows: Box<Int>
            func describe(to inventory: inout StateInventory) throws {
                let shard = try TensorShard(
                    offset: [0, 0], extent: [2, 600], of: [rows.value, 600])
                try TensorState("w", memory.view, of: shard).describe(to: &inventory)
            }
        }
        let checkpointer = try Checkpointer(
            store: store, state: Growing(memory: memory, rows: rows), options: options())
        try checkpointer.save(step: 1).wait()
        rows.withLock { $0 = 4 }
        let error = #expect(throws: CheckpointError.self) { try checkpointer.save(step: 2).wait() }
        #expect(error?.code == .misuse && error?.names == ["w"])
        rows.withLock { $0 = 2 }
        try checkpointer.save(step: 3).wait()
        try? checkpointer.close()
        #expect(try steps(of: store) == [3, 1])
    }

    @Test("A shard that the checkpoint lacks is named once")
    func missing() throws {
        let files = InMemoryFileSystem()
        try train(files, worldSize: 1, launch: "job")
        let state = try Experts(0, of: 1)
        let error = #expect(throws: CheckpointError.self) {
            try restored(openStore(files, for: .reading), state)
        }
        #expect(error?.names == ["experts", "qkv"])
    }
}

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

/// State that several ranks hold: one of them saves it, and all compare it.
@Suite("Replicas", .timeLimit(.minutes(20)))
struct ReplicaTests: RankedCheckpointing {
    /// Tensors of data-parallel ranks: large ones, small ones that share blocks, and weights that
    /// are the casts of masters.
    final class Replica: StateProvider {
        static let counts = [90_000, 70_000, 40_000, 300, 200, 100, 5]
        let tensors: [OwnedTensor<Float>]
        let shards: [TensorShard]
        let own: OwnedTensor<Float>

        /// - Parameter holders: the ranks that hold the tensors; by default those of a mesh.
        init(_ rank: Int, of worldSize: Int, holders: [Int]? = nil) throws {
            let mesh = try RankMesh(["dp": worldSize])
            shards = try Self.counts.map { count in
                let shard = try TensorSharding([count]).shard(of: rank, in: mesh)
                return try holders.map { try shard.held(by: $0, on: rank) } ?? shard
            }
            tensors = try Self.counts.map { try OwnedTensor(repeating: 0, shape: [$0]) }
            own = try OwnedTensor(repeating: Float(rank), shape: [1000])
        }

        func describe(to inventory: inout StateInventory) throws {
            for (index, (tensor, shard)) in zip(tensors, shards).enumerated() {
                try TensorState("t\(index)", tensor.view, of: shard).describe(to: &inventory)
            }
        }

        func update(to step: Int) {
            for (index, tensor) in tensors.enumerated() {
                tensor.withElements { elements in
                    for place in elements.indices {
                        elements[place] = Float(place &* 31 &+ index &+ step &* 7)
                    }
                }
            }
        }

        func isAt(_ step: Int) -> Bool {
            tensors.enumerated().allSatisfy { index, tensor in
                tensor.values.indices.allSatisfy {
                    tensor.values[$0] == Float($0 &* 31 &+ index &+ step &* 7)
                }
            }
        }

        static var bytes: Int { counts.reduce(0, +) * 4 }
    }

    @Test(
        "Ranks save each replica once, share the work, and others restore it",
        arguments: [CheckpointerOptions.Capture.fenced, .checked])
    func once(_ mode: CheckpointerOptions.Capture) throws {
        let files = InMemoryFileSystem()
        var options = options()
        options.capture = mode
        options.compression = .none
        let saved = Box<[Int]>([])
        let errors = try onEachRank(3) { [options] rank in
            let store = try open(files, rank, of: 3, launch: "job")
            let state = try Replica(rank, of: 3)
            var options = options
            options.onEvent = { event in
                guard case .committed(let report) = event else { return }
                #expect(report.copiedBytes + report.logicalBytes == Replica.bytes)
                saved.withLock { $0.append(report.logicalBytes) }
            }
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            for step in 1...2 {
                checkpointer.mutate { state.update(to: step) }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        #expect(saved.value.reduce(0, +) == 2 * Replica.bytes, "each byte once a step")
        let mean = Replica.bytes / 3
        #expect(saved.value.allSatisfy { $0 <= mean + Replica.counts[0] * 4 / 2 }, "\(saved.value)")
        let store = try openStore(files, for: .reading)
        #expect(try store.verify().findings.isEmpty)
        let replicas = try store.compareReplicas()
        #expect(replicas.map(\.step) == [1, 2])
        #expect(replicas.allSatisfy { $0.isWhole && $0.isCommitted })
        #expect(replicas.allSatisfy { $0.comparedBytes == 2 * Replica.bytes })
        for step in 1...2 {
            let state = try Replica(0, of: 1)
            try store.restore(.step(step), into: state)
            #expect(state.isAt(step))
        }
    }

    @Test(
        "Replicas that differ are refused at the save, and verify tells where",
        arguments: [0, 1, 2])
    func diverged(_ wrong: Int) throws {
        let files = InMemoryFileSystem()
        let options = options()
        let chunkBytes = options.chunkBytes
        let errors = try onEachRank(3) { rank in
            let store = try open(files, rank, of: 3, launch: "job")
            let state = try Replica(rank, of: 3)
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            checkpointer.mutate {
                state.update(to: 1)
                if rank == wrong { state.tensors[1].withElements { $0[chunkBytes / 4 + 3] += 1 } }
            }
            let ticket = try checkpointer.save(step: 1)
            let error = #expect(throws: CheckpointError.self) { try ticket.wait() }
            #expect(error?.message.contains("both hold [0..<70000] of tensor t1") == true)
            #expect(error?.message.contains("\(wrong)") == true)
            try? checkpointer.close()  // tells of the failure again
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        let store = try openStore(files, for: .reading)
        #expect(try steps(of: store).isEmpty)
        let report = try #require(try store.compareReplicas().first)
        #expect(!report.isCommitted && report.missingRanks.isEmpty && report.problem == nil)
        #expect(report.differences.allSatisfy { $0.tensor == "t1" })
        #expect(report.differences.allSatisfy { $0.rank == wrong || $0.owner == wrong })
        let owners = report.differences.map(\.owner)
        #expect(report.differences.count == (owners.allSatisfy { $0 == wrong } ? 2 : 1))
        for difference in report.differences {
            #expect(difference.kind == .bytes([chunkBytes..<2 * chunkBytes]))
        }
    }

    @Test("A rank that declares holders that do not hold the tensor fails the save")
    func declaredWrongly() throws {
        let files = InMemoryFileSystem()
        let options = options()
        let errors = try onEachRank(2) { rank in
            let store = try open(files, rank, of: 2, launch: "job")
            let state = try Replica(rank, of: 2)
            let shard = try TensorShard(offset: [rank * 1000], extent: [1000], of: [2000])
            let none = CompositeState { TensorState("own", state.own.view, of: shard) }
            let checkpointer = try Checkpointer(
                store: store,
                state: rank == 0
                    ? CompositeState {
                        none
                        state
                    } : none,
                options: options)
            let error = #expect(throws: CheckpointError.self) {
                try checkpointer.save(step: 1).wait()
            }
            #expect(error?.message.contains("expects another rank to save it") == true)
            try? checkpointer.close()  // tells of the failure again
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
    }

    @Test("A process that saves alone saves what it holds, whoever else holds it", arguments: 0..<4)
    func alone(_ rank: Int) throws {
        let files = InMemoryFileSystem()
        do {
            let state = try Replica(rank, of: 4)
            let store = try openStore(files)
            let checkpointer = try Checkpointer(store: store, state: state, options: options())
            checkpointer.mutate { state.update(to: 1) }
            try checkpointer.save(step: 1).wait()
            try checkpointer.close()
        }
        let state = try Replica(0, of: 1)
        try openStore(files, for: .reading).restore(.step(1), into: state)
        #expect(state.isAt(1))
    }

    @Test("Holders beyond the ranks that save are refused")
    func outOfRange() throws {
        let files = InMemoryFileSystem()
        let options = options()
        let errors = try onEachRank(2) { rank in
            let store = try open(files, rank, of: 2, launch: "job")
            let state = try Replica(rank, of: 4)
            let error = #expect(throws: CheckpointError.self) {
                try Checkpointer(store: store, state: state, options: options)
            }
            #expect(error?.code == .misuse)
            #expect(error?.message.contains("on rank 3 too") == true)
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
    }
}

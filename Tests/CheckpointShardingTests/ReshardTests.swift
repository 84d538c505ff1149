import CheckpointFormat
import CheckpointSharding
import CheckpointTestSupport
import Testing

@Suite("Resharding", .timeLimit(.minutes(20)))
struct ReshardTests {
    @Test(
        "Through any chain of shardings every rank gets what the definition says",
        arguments: Seeds.first(600))
    func chain(_ seed: UInt64) throws {
        var maker = RandomSharding(seed)
        let shape = maker.shape()
        var stored: (shards: [SavedShard], saved: [[Int]])?
        for _ in 0..<4 {
            let (sharding, mesh) = try maker.sharding(shape)
            let simulation = try Simulation(sharding, mesh)
            let expected = (0..<mesh.worldSize).map(simulation.memory)
            let memories =
                try stored.map { try simulation.restore($0.shards, $0.saved) } ?? expected
            #expect(memories == expected, "\(sharding) on \(mesh), seed \(seed)")
            stored = try simulation.save(memories)
        }
    }

    @Test("Each element of a tensor is saved once", arguments: Seeds.first(300))
    func savedOnce(_ seed: UInt64) throws {
        var maker = RandomSharding(seed)
        let (sharding, mesh) = try maker.sharding(maker.shape())
        let simulation = try Simulation(sharding, mesh)
        let (_, saved) = try simulation.save((0..<mesh.worldSize).map(simulation.memory))
        #expect(saved.joined().sorted() == Array(0..<sharding.shape.reduce(1, *)))
    }

    @Test("The index does not depend on the order of the claims", arguments: Seeds.first(100))
    func order(_ seed: UInt64) throws {
        var maker = RandomSharding(seed)
        let (sharding, mesh) = try maker.sharding(maker.shape())
        let simulation = try Simulation(sharding, mesh)
        #expect(try simulation.index(seed) == simulation.index(seed + 1))
    }

    @Test("Reads hold every needed element, and at most a tenth more", arguments: Seeds.first(200))
    func reads(_ seed: UInt64) throws {
        var maker = RandomSharding(seed)
        let shape = maker.shape()
        let (old, oldMesh) = try maker.sharding(shape)
        let (new, newMesh) = try maker.requested(shape)
        let (from, to) = (try Simulation(old, oldMesh), try Simulation(new, newMesh))
        let source = ReshardSource(try from.save((0..<oldMesh.worldSize).map(from.memory)).shards)
        for (rank, local) in to.locals.enumerated() {
            let plan = try ReshardPlan(source, to: local?.pieces ?? [], rank: rank, tensor: "w")
            for transfer in plan.transfers {
                let needed = Set(
                    transfer.copies.flatMap { positions($0.sourceElements) })
                let read = transfer.reads
                #expect(needed.isSubset(of: Set(read.joined())))
                #expect(read.reduce(0) { $0 + $1.count } <= needed.count * 11 / 10)
                #expect(zip(read, read.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
            }
        }
    }

    @Test("A part of a copy reads what the copy reads in a range", arguments: Seeds.first(100))
    func parts(_ seed: UInt64) throws {
        var maker = RandomSharding(seed)
        var random = SeededGenerator(seed)
        let shape = maker.shape()
        let (old, oldMesh) = try maker.sharding(shape)
        let (new, newMesh) = try maker.requested(shape)
        let (from, to) = (try Simulation(old, oldMesh), try Simulation(new, newMesh))
        let source = ReshardSource(try from.save((0..<oldMesh.worldSize).map(from.memory)).shards)
        let rank = random.below(newMesh.worldSize)
        let pieces = to.locals[rank]?.pieces ?? []
        let plan = try ReshardPlan(source, to: pieces, rank: rank, tensor: "w")
        for copy in plan.transfers.flatMap(\.copies) {
            let start = random.below(copy.source + copy.count + 1)
            let range = start..<start + random.below(copy.count + 2)
            var expected: Set<[Int]> = []
            copy.forEachRun { run in
                for index in 0..<run.count where range.contains(run.source + index) {
                    expected.insert([run.source + index, run.destination + index])
                }
            }
            var found: [[Int]] = []
            for part in copy.part(reading: range) {
                part.forEachRun { run in
                    found += (0..<run.count).map {
                        [run.source + $0 + range.lowerBound, run.destination + $0]
                    }
                }
            }
            #expect(Set(found) == expected && found.count == expected.count)
        }
    }

    @Test("A rank reads replicas from itself, other ranks spread over the holders")
    func holders() throws {
        let whole = ShardPiece(ShardDescriptor(whole: [8]), in: [8])
        let source = ReshardSource([SavedShard(pieces: [whole], holders: [3, 5, 9])])
        let read = try (0..<30).map { rank in
            try ReshardPlan(source, to: [whole], rank: rank, tensor: "w").transfers[0].holder
        }
        #expect([3, 5, 9].allSatisfy { read[$0] == $0 })
        let counts = Dictionary(grouping: read, by: { $0 }).mapValues(\.count)
        #expect(
            Set(counts.keys) == [3, 5, 9] && counts.values.allSatisfy { (8...12).contains($0) })
    }

    @Test("A plan names the tensor and the rank if elements are missing")
    func missing() throws {
        let half = ShardPiece(ShardDescriptor(offset: [0], extent: [4]), in: [8])
        let whole = ShardPiece(ShardDescriptor(whole: [8]), in: [8])
        let source = ReshardSource([SavedShard(pieces: [half])])
        let error = #expect(throws: ShardingError.self) {
            try ReshardPlan(source, to: [whole], rank: 7, tensor: "layers.0.w")
        }
        #expect(error?.kind == .hole && error?.ranks == [7])
        #expect(error?.description.contains("layers.0.w") == true)
        #expect(error?.description.contains("lacks 4 of") == true)
    }
}

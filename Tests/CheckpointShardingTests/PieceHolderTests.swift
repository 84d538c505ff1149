import CheckpointFormat
import CheckpointSharding
import CheckpointTestSupport
import Testing

@Suite("Holders of pieces", .timeLimit(.minutes(10)))
struct PieceHolderTests {
    @Test(
        "Each rank knows the holders of its pieces, and all agree which of them saves each",
        arguments: Seeds.ofTheDay(40, of: 400))
    func agreement(_ seed: UInt64) throws {
        var maker = RandomSharding(seed)
        let (sharding, mesh) = try maker.sharding(maker.shape())
        try check(sharding, mesh, "seed \(seed)")
    }

    /// Four queries and one key among three ranks: the first has two queries, so that its key is in
    /// another part of its memory than the keys of the others.
    @Test("Copies that a later split gives to other coordinates are known")
    func unevenCopies() throws {
        let sections = [FusedSection(units: 4, of: 1), FusedSection(units: 1, of: 1)]
        for order in [["tp", "dp"], ["dp", "tp"]] {
            let mesh = try RankMesh(order == ["tp", "dp"] ? ["tp": 3, "dp": 3] : ["dp": 3, "tp": 3])
            let sharding = TensorSharding([5]).fused(0, sections, over: "tp").split(0, over: "dp")
            try check(sharding, mesh, "\(order)")
            let key = try (0..<9).filter { try sharding.shard(of: $0, in: mesh).pieces.contains { $0.offset == 4 } }
            #expect(key.count == 3)
        }
    }

    private func check(_ sharding: TensorSharding, _ mesh: RankMesh, _ comment: Comment) throws {
        let shards = try (0..<mesh.worldSize).map { try sharding.shard(of: $0, in: mesh) }
        let places = shards.map { $0.pieces.map(\.elements.normalized) }
        var owners: [StridedElements: Set<Int>] = [:]
        for (rank, shard) in shards.enumerated() {
            guard !shard.isEmpty else { continue }
            let holders = try #require(shard.holders)
            #expect(holders.rank == rank)
            for (place, ranks) in zip(places[rank], holders.ranks) {
                let expected = places.indices.filter { places[$0].contains(place) }
                #expect(ranks == expected, comment)
            }
            let regions = zip(shard.pieces, holders.ranks).map { piece, ranks in
                OwnerBalance.Region(
                    tensor: "w", first: piece.elements.offset, bytes: 4 * piece.count,
                    holders: ranks)
            }
            for (place, owner) in zip(places[rank], OwnerBalance.owners(of: regions)) {
                owners[place, default: []].insert(owner)
            }
        }
        #expect(owners.values.allSatisfy { $0.count == 1 }, comment)
    }

    @Test("Heads that are fewer than ranks have several holders, and queries one")
    func groupedQueries() throws {
        let mesh = try RankMesh(["dp": 2, "tp": 4])
        let fused = TensorSharding([(8 + 2 + 2) * 3, 5]).fused(
            0, [.init(units: 8, of: 3), .init(units: 2, of: 3), .init(units: 2, of: 3)], over: "tp")
        let shard = try fused.shard(of: 5, in: mesh)
        #expect(shard.holders?.ranks == [[1, 5], [0, 1, 4, 5], [0, 1, 4, 5]])
    }

    @Test("The holders of many tensors save about the same")
    func balance() throws {
        var random = SeededGenerator(11)
        let regions = (0..<200).map { index in
            OwnerBalance.Region(
                tensor: "t\(index)", first: 0, bytes: 1 + random.below(1000), holders: [2, 3, 7])
        }
        let owners = OwnerBalance.owners(of: regions.shuffled(using: &random))
        let bytes = Dictionary(grouping: owners.indices) { owners[$0] }
        #expect(Set(bytes.keys) == [2, 3, 7])
        let loads = [2, 3, 7].map { rank in
            let owners = OwnerBalance.owners(of: regions)
            return zip(regions, owners).reduce(0) { $0 + ($1.1 == rank ? $1.0.bytes : 0) }
        }
        #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= 20, "\(loads)")
    }

    @Test("A declaration of holders that lacks the rank itself is refused")
    func wrongHolders() throws {
        let shard = try TensorShard(offset: [0], extent: [4], of: [8])
        #expect(try shard.held(by: [3, 1, 1], on: 3).holders?.ranks == [[1, 3]])
        #expect(throws: ShardingError.self) { try shard.held(by: [0, 1], on: 2) }
        #expect(throws: ShardingError.self) { try shard.held(by: [-1, 2], on: 2) }
    }
}

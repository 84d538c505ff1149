import CheckpointFormat
import CheckpointSharding
import CheckpointTestSupport
import Testing

@Suite("Shardings of the frameworks", .timeLimit(.minutes(20)))
struct NamedCaseTests {
    @Test("From each sharding of a case to the next and back", arguments: NamedCase.all)
    func chain(_ named: NamedCase) throws {
        let steps = try named.stages.map { try $0.simulation() }
        var stored = try steps[0].save((0..<steps[0].mesh.worldSize).map(steps[0].memory))
        for simulation in steps.dropFirst() + steps.reversed() {
            let expected = (0..<simulation.mesh.worldSize).map(simulation.memory)
            #expect(try simulation.restore(stored.shards, stored.saved) == expected)
            stored = try simulation.save(expected)
        }
    }

    @Test("Memory is as the frameworks lay it out")
    func memory() throws {
        func rows(_ sharding: TensorSharding, _ mesh: KeyValuePairs<String, Int>, _ rank: Int)
            throws -> [Int]
        {
            try Simulation(sharding, RankMesh(mesh)).memory(of: rank)
        }
        let qkv = [
            FusedSection(units: 4, of: 1), FusedSection(units: 2, of: 1),
            FusedSection(units: 2, of: 1),
        ]
        #expect(
            try rows(TensorSharding([8]).fused(0, qkv, over: "tp"), ["tp": 2], 1) == [2, 3, 5, 7])
        #expect(try rows(TensorSharding([8]).fused(0, qkv, over: "tp"), ["tp": 4], 1) == [1, 4, 6])
        let groups = [
            FusedSection(units: 2, of: 2), FusedSection(units: 2, of: 1),
            FusedSection(units: 2, of: 1),
        ]
        #expect(
            try rows(TensorSharding([8]).fused(0, groups, .interleaved, over: "tp"), ["tp": 1], 0)
                == [0, 1, 4, 6, 2, 3, 5, 7])
        #expect(try rows(TensorSharding([6]).split(0, over: "dp"), ["dp": 4], 2) == [4, 5])
        #expect(try rows(TensorSharding([6]).split(0, over: "dp"), ["dp": 4], 3) == [])
        #expect(
            try rows(TensorSharding([6]).split(0, over: "dp", .balanced), ["dp": 4], 1) == [2, 3])
        #expect(
            try rows(TensorSharding([6]).padded(0, to: 8).split(0, over: "tp"), ["tp": 2], 1) == [
                4, 5, -1, -1,
            ])
        #expect(
            try rows(TensorSharding([8]).stridedSplit(0, over: "dp", factor: 2), ["dp": 2], 1) == [
                2, 3, 6, 7,
            ])
        // Uneven ones, as `_StridedShard` of PyTorch 2.15 divides them.
        let strided = TensorSharding([17]).stridedSplit(0, over: "dp", factor: 4)
        #expect(try rows(strided, ["dp": 2], 1) == [3, 4, 8, 9, 13, 14, 16])
        let three = TensorSharding([16]).stridedSplit(0, over: "dp", factor: 5)
        #expect(try rows(three, ["dp": 3], 1) == [2, 3, 6, 7, 10, 11, 14, 15])
        #expect(try rows(three, ["dp": 3], 2) == [])
        let nine = TensorSharding([9]).stridedSplit(0, over: "dp", factor: 2)
        let expected = [[0, 1, 5], [2, 3, 6], [4, 7], [8]]
        #expect(try (0..<4).map { try rows(nine, ["dp": 4], $0) } == expected)
        // As `torch.chunk` does, with a smaller part before the empty one.
        let five = TensorSharding([5]).split(0, over: "dp")
        #expect(try (0..<4).map { try rows(five, ["dp": 4], $0) } == [[0, 1], [2, 3], [4], []])
        #expect(
            try rows(TensorSharding([5]).flat(at: 2, of: 8, over: "dp"), ["dp": 2], 0) == [
                -1, -1, 0, 1,
            ])
        #expect(
            try rows(TensorSharding([5]).flat(at: 2, of: 8, over: "dp"), ["dp": 2], 1) == [
                2, 3, 4, -1,
            ])
        #expect(
            try rows(TensorSharding([2, 3]).permuted([1, 0]), ["dp": 1], 0) == [0, 3, 1, 4, 2, 5])
        #expect(try rows(TensorSharding([3, 2]).slice(0, at: 1), ["dp": 1], 0) == [2, 3])
        #expect(
            try rows(TensorSharding([4, 2]).heads(0, 2, over: "tp"), ["tp": 4], 2) == [4, 5, 6, 7])
    }

    /// A dense box stays one piece, whatever the steps.
    @Test("A plain split is one piece")
    func onePiece() throws {
        for sharding in [
            TensorSharding([16, 8]).split(0, over: "tp"),
            TensorSharding([16, 8]).split(1, over: "tp"),
            TensorSharding([16, 8]).split(0, over: "tp").split(0, over: "dp"),
            TensorSharding([16, 8]),
            TensorSharding([16, 8]).heads(0, 4, over: "tp"),
            TensorSharding([4, 4, 8]).slice(0, at: 2).split(1, over: "tp"),
        ] {
            let simulation = try Simulation(sharding, RankMesh(["dp": 2, "tp": 4]))
            #expect(simulation.locals.allSatisfy { $0?.pieces.count == 1 })
        }
        let interleaved = TensorSharding([4096 * 3, 64]).fused(
            0, [2, 1].map { FusedSection(units: 4096, of: $0) }, .interleaved, over: "tp")
        #expect(try interleaved.local(of: 3, in: RankMesh(["tp": 8]))?.pieces.count == 2)
    }

    @Test("Experts or layers that are tensors of their own are slices of one tensor")
    func slices() throws {
        let mesh = try RankMesh(["ep": 2, "tp": 2])
        let shape = [4, 6, 3]
        // Rank by rank two experts, each a tensor of its own in memory.
        let claims = try (0..<4).flatMap { expert in
            try (0..<4).compactMap { rank in
                try TensorClaim(
                    "experts", .f32,
                    TensorSharding(shape).only("ep", at: expert / 2).slice(0, at: expert).split(
                        0, over: "tp"),
                    rank: rank, in: mesh)
            }
        }
        #expect(claims.count == 8)
        let index = try TensorIndex(claims.reversed())
        #expect(index.tensors[0].regions.count == 8)
        #expect(index.savedBytes == [0: 72, 1: 72, 2: 72, 3: 72])
        // They become one grouped tensor.
        let shards = (0..<4).map { SavedShard(packing: index.tensors[0].saved(by: $0)) }
        let saved = shards.map { $0.pieces.flatMap { positions($0.elements) } }
        let grouped = try Simulation(
            TensorSharding(shape).split(0, over: "ep"), RankMesh(["ep": 3]))
        #expect(try grouped.restore(shards, saved) == (0..<3).map(grouped.memory))
        // A missing expert is a hole: it is named.
        let error = #expect(throws: ShardingError.self) {
            try TensorIndex(Array(claims.dropFirst(2)))
        }
        #expect(
            error?.description == "tensor experts: no rank has [0..<1, 0..<6, 0..<3] of shape [4, 6, 3]"
        )
    }

    @Test("A rank's copies of one region count once")
    func repeatedHeads() throws {
        // Four query heads of a rank, each with the keys of its group beside it in memory.
        let piece = ShardPiece(shape: [4], offset: 0, strides: [1])
        var copy = piece
        copy.localOffset = 4
        let claims = (0..<3).map {
            TensorClaim(
                name: "k", type: .bf16, shape: [4], rank: $0, pieces: [piece, copy], memory: 8)
        }
        let tensor = try ShardedTensor(claims)
        #expect(tensor.regions.count == 1 && tensor.regions[0].holders.map(\.rank) == [0, 1, 2])
        #expect(tensor.regions[0].replicas == [1, 2])
        // A restore fills both places.
        let plan = try ReshardPlan(
            ReshardSource([SavedShard(packing: tensor.saved(by: 0))]), to: [piece, copy], rank: 1,
            tensor: "k")
        #expect(plan.transfers[0].copies.map(\.destination) == [0, 4] && plan.neededElements == 8)
        #expect(plan.transfers[0].reads == [0..<4])
    }

    @Test("Impossible declarations are refused, with the reason")
    func refused() throws {
        let mesh = try RankMesh(["dp": 2, "tp": 4])
        let cases: [(TensorSharding, String)] = [
            (TensorSharding([8]).split(1, over: "tp"), "no dimension 1"),
            (TensorSharding([]).split(0, over: "tp"), "no dimension 0"),
            (TensorSharding([8]).split(0, over: "ep"), "no axis ep; its axes are dp, tp"),
            (TensorSharding([6]).split(0, over: "tp", .even), "6 indices cannot be split into 4"),
            (TensorSharding([6]).split(0, over: "tp", .sizes([1, 2, 3])), "are not 4 parts of 6"),
            (
                TensorSharding([6]).split(0, over: "tp", .sizes([7, -1, 0, 0])),
                "are not 4 parts of 6"
            ),
            (
                TensorSharding([6]).split(0, over: "tp", .sizes([.max, .max, 4, 4])),
                "are not 4 parts of 6"
            ),
            (TensorSharding([6]).heads(0, 4, over: "tp"), "6 indices cannot be split into 4 equal heads"),
            (TensorSharding([6]).heads(0, 0, over: "tp"), "6 indices cannot be split into 0 equal heads"),
            (
                TensorSharding([6]).fused(0, [FusedSection(units: 2, of: 2)], over: "tp"),
                "do not add up to 6"
            ),
            (
                TensorSharding([6]).fused(0, [FusedSection(units: .max, of: .max)], over: "tp"),
                "do not add up to 6"
            ),
            (TensorSharding([6]).fused(0, [], over: "tp"), "do not add up to 6"),
            (
                TensorSharding([6]).fused(
                    0, [.init(units: 2, of: 2), .init(units: 1, of: 2)], .interleaved, over: "tp"),
                "same number of units"
            ),
            (TensorSharding([6]).padded(0, to: 5), "longer than 5"),
            (TensorSharding([6, 2]).padded(0, to: .max), "cannot hold a tensor of shape"),
            (TensorSharding([6]).slice(0, at: 6), "no index 6"),
            (TensorSharding([6, 2]).permuted([0, 0]), "not an order of the dimensions"),
            (TensorSharding([6]).flat(at: 3, of: 8, over: "tp"), "outside a buffer of 8"),
            (TensorSharding([6]).flat(at: -1, of: 8, over: "tp"), "outside a buffer of 8"),
            (TensorSharding([6]).flat(at: 0, of: -8, over: "tp"), "outside a buffer of -8"),
            (TensorSharding([6]).stridedSplit(0, over: "tp", factor: 0), "0 parts"),
            (TensorSharding([6]).only("tp", at: 4), "no coordinate 4"),
            (TensorSharding([-1]), "not the shape of a tensor"),
            (TensorSharding([.max, 2]), "not the shape of a tensor"),
        ]
        for (sharding, text) in cases {
            let error = #expect(throws: ShardingError.self) { try sharding.local(of: 0, in: mesh) }
            #expect(
                error?.kind == .declaration && error?.description.contains(text) == true,
                "\(text): \(error?.description ?? "")")
        }
        // The product of the other extents of an empty tensor may overflow.
        let empty = TensorSharding([1 << 40, 1 << 40, 0]).fused(
            0, [FusedSection(units: 1 << 40, of: 1)], .interleaved, over: "tp")
        #expect(try empty.split(1, over: "dp").local(of: 0, in: mesh)?.pieces == [])
        #expect(throws: ShardingError.self) {
            try TensorSharding([8]).split(0, over: "tp").local(of: 8, in: mesh)
        }
        #expect(throws: ShardingError.self) { try RankMesh(["a": 1, "a": 2]) }
        #expect(throws: ShardingError.self) { try RankMesh(["a": 0]) }
        #expect(throws: ShardingError.self) { try RankMesh(["a": 1 << 40, "b": 1 << 40]) }
        #expect(throws: ShardingError.self) { try FlatBuffer([[.max], [2]]) }
        #expect(throws: ShardingError.self) { try FlatBuffer([[1]], alignment: 0) }
    }

    /// Queries split 2 and 1, each with a copy of the keys, and then halves of what a rank has.
    @Test("Copies that ranks would cut at different places are refused, with their ranks")
    func cutCopies() throws {
        let mesh = try RankMesh(["dp": 2, "tp": 2])
        let queriesAndKeys = TensorSharding([5]).fused(
            0, [FusedSection(units: 3, of: 1), FusedSection(units: 1, of: 2)], over: "tp")
        #expect(throws: Never.self) { try Simulation(queriesAndKeys, mesh).index() }
        let error = #expect(throws: ShardingError.self) {
            try Simulation(queriesAndKeys.split(0, over: "dp"), mesh).index()
        }
        #expect(error?.kind == .overlap && error?.ranks == [1, 2], "\(String(describing: error))")
    }

    @Test("Invalid claims are refused, with tensor and rank")
    func claims() throws {
        let piece = ShardPiece(shape: [4], offset: 0, strides: [1])
        func error(_ change: (inout TensorClaim) -> Void) -> String {
            var claim = TensorClaim(
                name: "w", type: .f32, shape: [4], rank: 1, pieces: [piece], memory: 4)
            change(&claim)
            do throws(ShardingError) { _ = try TensorIndex([claim]) } catch {
                return error.description
            }
            return ""
        }
        #expect(error { _ in } == "")
        #expect(
            error { $0.memory = 3 }.contains(
                "tensor w: rank 1: a piece of shape [4] at local offset 0"))
        #expect(error { $0.pieces[0].offset = 1 }.contains("leaves its tensor of 4 elements"))
        #expect(error { $0.pieces[0].strides = [0] }.contains("overlaps itself"))
        #expect(error { $0.pieces[0].strides = [] }.contains("a piece of 1 dimensions"))
        #expect(error { $0.pieces[0].shape = [0] }.contains("is empty"))
        #expect(error { $0.pieces += $0.pieces }.contains("at the same place in its memory"))
        #expect(error { $0.shape = [.max] }.contains("not the shape of a tensor"))
        #expect(error { $0.memory = -1 }.contains("a memory of -1"))
        #expect(error { $0.rank = -1 }.contains("rank -1"))
        #expect(
            error { $0.pieces = [ShardPiece](repeating: piece, count: 65537) }.contains(
                "65537 pieces"))
    }

    @Test(
        "Replicas are saved once, by owners with about equally many bytes",
        arguments: Seeds.first(50))
    func balance(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let mesh = try RankMesh(["dp": 1 + random.below(6), "tp": 1 + random.below(3)])
        var claims: [TensorClaim] = []
        var largest = 0
        for tensor in 0..<60 {
            let shape = [1 + random.below(200), 1 + random.below(9)]
            let plain = TensorSharding(shape)
            let sharding = random.below(3) == 0 ? plain : plain.split(random.below(2), over: "tp")
            for rank in 0..<mesh.worldSize {
                guard
                    let claim = try TensorClaim("t\(tensor)", .f32, sharding, rank: rank, in: mesh)
                else { continue }
                claims.append(claim)
                largest = max(largest, claim.memory * 4)
            }
        }
        let index = try TensorIndex(claims)
        #expect(try TensorIndex(claims.shuffled(using: &random)) == index)
        let total = index.tensors.reduce(0) { $0 + $1.shape.reduce(4, *) }
        let bytes = (0..<mesh.worldSize).map { index.savedBytes[$0] ?? 0 }
        #expect(bytes.reduce(0, +) == total)
        // What only the ranks of one coordinate hold differs by less than one row a tensor; the rest is spread.
        let mean = total / mesh.worldSize
        #expect(
            bytes.allSatisfy { $0 <= mean + largest + 60 * 9 * 4 * 2 }, "\(bytes), mean \(mean)")
    }
}

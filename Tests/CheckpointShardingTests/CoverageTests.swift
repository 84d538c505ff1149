import CheckpointFormat
import CheckpointSharding
import CheckpointTestSupport
import Testing

@Suite("Coverage of tensors by the pieces of all ranks", .timeLimit(.minutes(20)))
struct CoverageTests {
    /// Valid claims of a random sharding with at least one piece.
    private func claims(_ seed: UInt64) throws -> [TensorClaim] {
        var maker = RandomSharding(seed)
        while true {
            let (sharding, mesh) = try maker.sharding(maker.shape())
            let claims = try Simulation(sharding, mesh).claims
            if claims.contains(where: { !$0.pieces.isEmpty }) { return claims }
        }
    }

    /// Changes one piece, and the same piece of every replica.
    private func changing(
        _ claims: [TensorClaim], _ random: inout SeededGenerator,
        _ change: (inout ShardPiece) -> Void
    ) -> [TensorClaim] {
        let pieces = claims.flatMap(\.pieces)
        let planted = pieces[random.below(pieces.count)].elements.normalized
        return claims.map { claim in
            var claim = claim
            for index in claim.pieces.indices
            where claim.pieces[index].elements.normalized == planted {
                change(&claim.pieces[index])
            }
            return claim
        }
    }

    /// How many pieces that are not replicas of each other have each position.
    private func counts(_ claims: [TensorClaim]) -> [Int] {
        var counts = [Int](repeating: 0, count: claims[0].shape.reduce(1, *))
        for set in Set(claims.flatMap(\.pieces).map(\.elements.normalized)) {
            for position in positions(set) { counts[position] += 1 }
        }
        return counts
    }

    @Test("A hole is found, and named", arguments: Seeds.first(300))
    func hole(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let whole = try claims(seed)
        let pieces = whole.flatMap(\.pieces)
        let planted = pieces[random.below(pieces.count)].elements.normalized
        let claims = whole.map { claim in
            var claim = claim
            claim.pieces.removeAll { $0.elements.normalized == planted }
            return claim
        }
        let error = #expect(throws: ShardingError.self) { try TensorIndex(claims) }
        #expect(error?.kind == .hole && error?.tensor == "w", "seed \(seed)")
        #expect(error?.description.contains("no rank has") == true)
    }

    @Test(
        "A shorter, longer, shifted or wrongly strided piece is found", arguments: Seeds.first(900))
    func planted(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let whole = try claims(seed)
        let kind = random.below(4)
        let amount = 1 + random.below(3)
        let changed = changing(whole, &random) { piece in
            guard let last = piece.shape.indices.last else {
                piece.offset += amount
                return
            }
            switch kind {
            case 0: piece.shape[last] -= 1
            case 1: piece.shape[0] += 1
            case 2: piece.offset += amount
            default: piece.strides[last] += amount
            }
        }
        // Some changes change nothing, or leave the tensor: then the count cannot be made.
        let elements = whole[0].shape.reduce(1, *)
        let isValid = changed.allSatisfy { claim in
            claim.pieces.allSatisfy {
                $0.shape.allSatisfy { $0 > 0 } && $0.elements.isValid(below: elements)
            }
        }
        let isExact = isValid && counts(changed).allSatisfy { $0 == 1 }
        let error = fault(changed)
        guard isValid else {
            #expect(error?.kind == .declaration, "seed \(seed)")
            return
        }
        guard !isExact else {
            #expect(error?.kind == nil || error?.kind == .declaration, "seed \(seed)")
            return
        }
        #expect(error != nil, "seed \(seed)")
        let counts = counts(changed)
        switch error?.kind {
        case .hole: #expect(counts.contains(0), "seed \(seed)")
        case .overlap:
            #expect(counts.contains { $0 > 1 }, "seed \(seed)")
            #expect(error?.ranks.isEmpty == false)
        default: #expect(error?.kind == .declaration, "seed \(seed)")
        }
    }

    private func fault(_ claims: [TensorClaim]) -> ShardingError? {
        do throws(ShardingError) { _ = try TensorIndex(claims) } catch { return error }
        return nil
    }

    @Test("The message names the region and the ranks")
    func message() throws {
        func claim(_ rank: Int, _ rows: Range<Int>) -> TensorClaim {
            let box = ShardDescriptor(offset: [rows.lowerBound, 0], extent: [rows.count, 4])
            return TensorClaim(
                name: "w", type: .f32, shape: [8, 4], rank: rank,
                pieces: [ShardPiece(box, in: [8, 4])], memory: rows.count * 4)
        }
        let hole = #expect(throws: ShardingError.self) {
            try TensorIndex([claim(0, 0..<3), claim(1, 5..<8)])
        }
        #expect(hole?.description == "tensor w: no rank has [3..<5, 0..<4] of shape [8, 4]")
        let overlap = #expect(throws: ShardingError.self) {
            try TensorIndex([claim(2, 0..<5), claim(5, 3..<8), claim(7, 3..<8)])
        }
        #expect(overlap?.ranks == [2, 5, 7])
        #expect(
            overlap?.description
                == "tensor w: [3..<5, 0..<4] of [8, 4] is in two pieces that differ:"
                + " one of rank 2 and one of ranks 5, 7")
        var other = claim(1, 4..<8)
        other.type = .bf16
        let types = #expect(throws: ShardingError.self) {
            try TensorIndex([claim(0, 0..<4), other])
        }
        #expect(types?.kind == .disagreement && types?.ranks == [0, 1])
    }

    @Test("100,000 shards of one tensor are checked quickly: rows, columns, blocks, flat ranges")
    func many() throws {
        let shape = [100_000, 100_000]
        func boxes(_ rows: Int, _ columns: Int) -> [StridedElements] {
            (0..<rows).flatMap { row in
                (0..<columns).map { column in
                    StridedElements(
                        ShardDescriptor(
                            offset: [row * (100_000 / rows), column * (100_000 / columns)],
                            extent: [100_000 / rows, 100_000 / columns]), in: shape)
                }
            }
        }
        let flat = (0..<100_000).map { StridedElements($0 * 99_999..<($0 + 1) * 99_999) }
        let rest = [StridedElements(100_000 * 99_999..<100_000 * 100_000)]
        let clock = ContinuousClock()
        for sets in [boxes(100_000, 1), boxes(1, 100_000), boxes(500, 200), flat + rest] {
            let time = clock.measure {
                #expect(ElementCover.fault(sets, in: shape) == nil)
                #expect(
                    ElementCover.fault(Array(sets.dropLast()), in: shape)
                        == .hole(sets[sets.count - 1].normalized))
            }
            print("two checks of \(sets.count) shards: \(time)")
        }
    }
}

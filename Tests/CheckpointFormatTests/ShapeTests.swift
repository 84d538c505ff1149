import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Shapes and shards", .timeLimit(.minutes(20)))
struct ShapeTests {
    @Test(
        "Bytes of a shape, or nil",
        arguments: [
            ([], 1), ([3], 3), ([2, 3, 4], 24), ([0], 0), ([0, .max, .max], 0), ([.max, .max, 0], 0), ([-1], nil),
            ([0, -1], nil),
            ([1 << 62, 2], nil), ([1 << 32, 1 << 32], nil), ([.max], .max), ([Int](repeating: 1, count: 32), 1),
            ([Int](repeating: 1, count: 33), nil), ([.max, .max], nil),
        ] as [([Int], Int?)])
    func bytes(_ shape: [Int], _ expected: Int?) {
        #expect(TensorShape.elementCount(shape) == expected)
        #expect(TensorShape.byteCount(shape, .u8) == expected)
        let eight = expected.flatMap { $0 > Int.max / 8 ? nil : $0 * 8 }
        #expect(TensorShape.byteCount(shape, .f64) == eight)
    }

    @Test("Row-major strides; shapes that are too large do not trap")
    func strides() {
        #expect(TensorShape.rowMajorStrides([]) == [])
        #expect(TensorShape.rowMajorStrides([2, 3, 4]) == [12, 4, 1])
        #expect(TensorShape.rowMajorStrides([2, 0, 4]) == [4, 4, 1])
        #expect(TensorShape.rowMajorStrides([0, 1 << 40, 1 << 40]).last == 1)
    }

    @Test("Runs of two shards are what they have in common, once", arguments: Seeds.first(300))
    func overlap(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let shape = (0..<random.below(5)).map { _ in 1 + random.below(5) }
        func shard() -> ShardDescriptor {
            let offset = shape.map { random.below($0) }
            return .init(offset: offset, extent: shape.indices.map { 1 + random.below(shape[$0] - offset[$0]) })
        }
        let (a, b) = (shard(), shard())
        let (inA, inB) = (elements(of: a), elements(of: b))
        var expected: [[Int]: [Int]] = [:]
        for (place, index) in inA where inB[place] != nil { expected[place] = [index, inB[place] ?? -1] }
        var found: [[Int]] = []
        let pieces = [a, b].map { ShardPiece($0, in: shape) }
        for copy in PieceIntersection.copies(from: pieces[0], to: pieces[1]) {
            copy.forEachRun { run in
                found += (0..<run.count).map { [run.source + $0, run.destination + $0] }
            }
        }
        #expect(found.sorted { $0[0] < $1[0] } == expected.values.sorted { $0[0] < $1[0] })
        #expect(found.map { $0[0] } == found.map { $0[0] }.sorted() && found.map { $0[1] } == found.map { $0[1] }.sorted())
    }

    /// Of every element its place in the tensor, and its index in the shard's row-major order.
    private func elements(of shard: ShardDescriptor) -> [[Int]: Int] {
        var places: [[Int]] = [[]]
        for (offset, extent) in zip(shard.offset, shard.extent) {
            places = places.flatMap { place in (offset..<offset + extent).map { place + [$0] } }
        }
        return Dictionary(uniqueKeysWithValues: places.enumerated().map { ($1, $0) })
    }

    @Test("A shard inside, and shards that overlap, against a count of elements", arguments: Seeds.first(300))
    func shards(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let shape = (0..<1 + random.below(3)).map { _ in random.below(5) }
        func shard() -> ShardDescriptor {
            ShardDescriptor(
                offset: shape.map { _ in random.below(6) - 1 }, extent: shape.map { _ in random.below(5) - 1 })
        }
        let (a, b) = (shard(), shard())
        func isSane(_ shard: ShardDescriptor) -> Bool {
            zip(zip(shard.offset, shard.extent), shape).allSatisfy { $0.0 >= 0 && $0.1 >= 0 && $0.0 + $0.1 <= $1 }
        }
        #expect(a.lies(inside: shape) == isSane(a))
        guard isSane(a), isSane(b) else { return }
        #expect(a.overlaps(b) == !elements(a).isDisjoint(with: elements(b)))
        #expect(a.overlaps(b) == b.overlaps(a))
    }

    private func elements(_ shard: ShardDescriptor) -> Set<[Int]> {
        zip(shard.offset, shard.extent).reduce([[]]) { indices, side in
            Set(indices.flatMap { index in (side.0..<side.0 + side.1).map { index + [$0] } })
        }
    }

    @Test("A shard that would overflow lies outside")
    func hugeShards() {
        #expect(!ShardDescriptor(offset: [.max], extent: [1]).lies(inside: [3]))
        #expect(!ShardDescriptor(offset: [1], extent: [.max]).lies(inside: [3]))
        #expect(!ShardDescriptor(offset: [0], extent: [1]).lies(inside: [1, 1]))
        #expect(ShardDescriptor(whole: [.max]).lies(inside: [.max]))
    }
}

import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Shapes and shards")
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

import CheckpointCodecs
import CheckpointFormat
import CheckpointState
import CheckpointTestSupport
import Testing

/// A tensor in memory, with a loop over its elements that knows nothing of runs.
struct NaiveTensor {
    var type: ElementType
    var shape: [Int]
    var strides: [Int]
    var byteOffset: Int
    var memoryBytes: Int

    /// Where each element lies in memory, in row-major order.
    var offsets: [Int] {
        var places = [byteOffset]
        for (extent, stride) in zip(shape, strides) {
            places = places.flatMap { place in (0..<extent).map { place + $0 * stride * type.width } }
        }
        return places
    }

    func rowMajor(_ memory: [UInt8]) -> [UInt8] { offsets.flatMap { memory[$0..<$0 + type.width] } }

    func storing(_ bytes: [UInt8], in memory: [UInt8]) -> [UInt8] {
        var memory = memory
        for (index, offset) in offsets.enumerated() {
            memory.replaceSubrange(
                offset..<offset + type.width, with: bytes[index * type.width..<(index + 1) * type.width])
        }
        return memory
    }

    func view(_ memory: OwnedBytes) throws -> TensorView {
        try TensorView(memory.lent, type: type, shape: shape, strides: strides, byteOffset: byteOffset)
    }

    /// A permutation of a padded row-major tensor, each dimension perhaps reversed: no two elements share a place.
    static func random(_ random: inout SeededGenerator) -> NaiveTensor {
        // Packed types have no address for each element; PackedTensorTests has them.
        let types = ElementType.allCases.filter { $0.elementsPerUnit == 1 }
        let type = types[random.below(types.count)]
        let rank = random.below(5)
        let shape = (0..<rank).map { _ in random.below(10) == 0 ? 0 : 1 + random.below(5) }
        var strides = [Int](repeating: 0, count: rank)
        var span = 1
        for dimension in (0..<rank).shuffled(using: &random) {
            strides[dimension] = span
            span *= max(shape[dimension], 1) + (random.below(3) == 0 ? 1 : 0)
        }
        var first = 0
        for dimension in 0..<rank where random.below(4) == 0 {
            first += strides[dimension] * max(shape[dimension] - 1, 0)
            strides[dimension].negate()
        }
        let before = random.below(9)
        return NaiveTensor(
            type: type, shape: shape, strides: strides, byteOffset: before + first * type.width,
            memoryBytes: before + span * type.width + random.below(9))
    }
}

@Suite("Tensor views", .timeLimit(.minutes(20)))
struct TensorViewTests {
    @Test("Captured bytes are those of a loop over elements, from any range", arguments: Seeds.first(300))
    func capture(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let tensor = NaiveTensor.random(&random)
        let memory = try OwnedBytes(random.bytes(tensor.memoryBytes))
        let view = try tensor.view(memory)
        let expected = tensor.rowMajor(memory.bytes)
        #expect(view.byteCount == expected.count)
        for _ in 0..<4 {
            let start = random.below(expected.count + 1)
            let range = start..<start + random.below(expected.count - start + 1)
            let slot = try OwnedBytes([UInt8](repeating: 0xA5, count: range.count + 32))
            let hash = try view.capture(range, to: slot.region.prefix(range.count))
            #expect(Array(slot.bytes.prefix(range.count)) == Array(expected[range]))
            #expect(slot.bytes.suffix(32).allSatisfy { $0 == 0xA5 })
            #expect(hash == Hashing.digest(expected[range]))
            if let region = view.contiguousRegion(range) { #expect(region.array == Array(expected[range])) }
        }
    }

    @Test("Restoring in pieces writes the elements and nothing else", arguments: Seeds.first(300))
    func restore(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let tensor = NaiveTensor.random(&random)
        let before = random.bytes(tensor.memoryBytes)
        let memory = try OwnedBytes(before)
        let view = try tensor.view(memory)
        let content = random.bytes(view.byteCount)
        let source = try OwnedBytes(content)
        var cuts = (0..<random.below(4)).map { _ in random.below(content.count + 1) } + [0, content.count]
        cuts.sort()
        for (start, end) in zip(cuts, cuts.dropFirst()).shuffled(using: &random) {
            try view.restore(source.region[start..<end], at: start)
        }
        #expect(memory.bytes == tensor.storing(content, in: before))
    }

    @Test("A part of a tensor is that part of its elements", arguments: Seeds.first(200))
    func parts(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let tensor = NaiveTensor.random(&random)
        let memory = try OwnedBytes(random.bytes(tensor.memoryBytes))
        let offset = tensor.shape.map { random.below($0 + 1) }
        let extent = zip(tensor.shape, offset).map { random.below($0 - $1 + 1) }
        let part = try tensor.view(memory).part(ShardDescriptor(offset: offset, extent: extent))
        var naive = tensor
        naive.shape = extent
        naive.byteOffset += zip(offset, tensor.strides).reduce(0) { $0 + $1.0 * $1.1 } * tensor.type.width
        let slot = try OwnedBytes(zeros: part.byteCount)
        _ = try part.capture(0..<part.byteCount, to: slot.region)
        #expect(slot.bytes == naive.rowMajor(memory.bytes))
    }

    @Test("A row-major tensor lies in one piece; a transposed one does not")
    func contiguous() throws {
        let memory = try OwnedBytes(Array(0..<48))
        let whole = try TensorView(memory.lent, type: .f32, shape: [3, 4])
        #expect(whole.contiguousRegion(4..<12)?.array == Array(4..<12))
        let transposed = try TensorView(memory.lent, type: .f32, shape: [4, 3], strides: [1, 4], byteOffset: 0)
        #expect(transposed.contiguousRegion(0..<48) == nil)
        let scalar = try TensorView(memory.lent, type: .f64, shape: [], strides: [], byteOffset: 16)
        #expect(scalar.contiguousRegion(0..<8)?.array == Array(16..<24))
        // Strides of dimensions of extent 1 do not matter.
        let row = try TensorView(memory.lent, type: .u8, shape: [1, 5, 1], strides: [.max, 1, .min], byteOffset: 2)
        #expect(row.contiguousRegion(0..<5)?.array == [2, 3, 4, 5, 6])
    }

    @Test(
        "Shapes and strides that leave the memory, or cannot be counted, are refused",
        arguments: [
            ([4], [1], -1), ([4], [1], 37), ([4], [3], 12), ([4], [-1], 0), ([4], [-1], 11), ([2, 2], [8, 4], 0),
            ([2], [.max], 0),
            ([2], [.min], 0), ([2, 2], [.max / 4, .max / 4], 0), ([3], [1 << 60], 0), ([-1], [1], 0), ([2], [1, 1], 0),
            ([2, 2], [1], 0), ([1 << 40, 1 << 40], [0, 0], 0), ([1], [1], .max), ([1], [1], .min), ([2], [1], .max),
            ([13], [1], 0),
        ] as [([Int], [Int], Int)])
    func refused(_ shape: [Int], _ strides: [Int], _ byteOffset: Int) throws {
        let memory = try OwnedBytes(zeros: 48)
        #expect(throws: StateError.self) {
            try TensorView(memory.lent, type: .f32, shape: shape, strides: strides, byteOffset: byteOffset)
        }
    }

    @Test(
        "Row-major shapes that do not fit are refused",
        arguments: [
            [13], [-1], [4, 4], [1 << 62], [1 << 40, 1 << 40], [.max, .max, .max], [1, 1 << 40, 1 << 40],
            [Int](repeating: 1, count: 33),
        ])
    func refusedShapes(_ shape: [Int]) throws {
        let memory = try OwnedBytes(zeros: 48)
        #expect(throws: StateError.self) { try TensorView(memory.lent, type: .f32, shape: shape) }
    }

    @Test("The last element may touch the end of the memory")
    func edges() throws {
        let memory = try OwnedBytes(Array(0..<48))
        let last = try TensorView(memory.lent, type: .f32, shape: [1], strides: [1], byteOffset: 44)
        #expect(last.contiguousRegion(0..<4)?.array == [44, 45, 46, 47])
        let backwards = try TensorView(memory.lent, type: .f32, shape: [12], strides: [-1], byteOffset: 44)
        let slot = try OwnedBytes(zeros: 48)
        _ = try backwards.capture(0..<48, to: slot.region)
        #expect(slot.bytes.prefix(8) == [44, 45, 46, 47, 40, 41, 42, 43])
        // A stride of 0 repeats an element.
        let repeated = try TensorView(memory.lent, type: .u8, shape: [3], strides: [0], byteOffset: 47)
        _ = try repeated.capture(0..<3, to: slot.region)
        #expect(slot.bytes.prefix(3) == [47, 47, 47])
    }

    @Test(
        "Empty tensors need no memory, wherever they are said to lie",
        arguments: [
            ([0], [1]), ([0, 5], [5, 1]), ([5, 0], [0, 1]), ([.max, 0, .max], [1, 1, 1]),
        ] as [([Int], [Int])])
    func empty(_ shape: [Int], _ strides: [Int]) throws {
        let nothing = try OwnedBytes(zeros: 0)
        for offset in [0, 100, -3] {
            let view = try TensorView(nothing.lent, type: .f64, shape: shape, strides: strides, byteOffset: offset)
            #expect(view.byteCount == 0)
            #expect(try view.capture(0..<0, to: nothing.region) == Hashing.digest([]))
            try view.restore(nothing.region, at: 0)
        }
        #expect(try TensorView(nothing.lent, type: .f64, shape: shape).byteCount == 0)
    }
}

import CheckpointCodecs
import CheckpointFormat
import CheckpointState
import CheckpointTestSupport
import Testing

/// Tensors whose elements have fewer bits than a byte.
@Suite("Packed tensors", .timeLimit(.minutes(20)))
struct PackedTensorTests {
    private static let packed = ElementType.allCases.filter { $0.elementsPerUnit > 1 }

    @Test(
        "A unit is the fewest whole bytes that hold whole elements", arguments: ElementType.allCases
    )
    func units(_ type: ElementType) {
        #expect(type.width * 8 == type.bits * type.elementsPerUnit)
        #expect(
            (1..<type.width).allSatisfy { $0 * 8 % type.bits != 0 } || type.elementsPerUnit == 1)
        #expect(TensorShape.byteCount([type.elementsPerUnit, 3], type) == 3 * type.width)
    }

    @Test("Elements that do not fill the last byte are no tensor", arguments: packed)
    func wholeBytes(_ type: ElementType) throws {
        #expect(TensorShape.byteCount([type.elementsPerUnit + 1], type) == nil)
        #expect(TensorShape.byteCount([], type) == nil && TensorShape.byteCount([0], type) == 0)
        let memory = try OwnedBytes([UInt8](repeating: 0, count: 64))
        #expect(throws: StateError.self) {
            try TensorView(memory.lent, type: type, shape: [type.elementsPerUnit + 1])
        }
    }

    @Test("A row-major tensor is its bytes, in any range", arguments: packed)
    func rowMajor(_ type: ElementType) throws {
        var random = SeededGenerator(UInt64(type.code))
        let shape = [3, type.elementsPerUnit, 5]
        let bytes = random.bytes(15 * type.width)
        let view = try TensorView(try OwnedBytes(bytes).lent, type: type, shape: shape)
        #expect(view.byteCount == bytes.count)
        let slot = try OwnedBytes([UInt8](repeating: 0, count: 7))
        _ = try view.capture(4..<11, to: slot.region)
        #expect(slot.bytes == Array(bytes[4..<11]))
    }

    @Test(
        "A part whose rows begin between bytes is that part, and no other is one", arguments: packed
    )
    func parts(_ type: ElementType) throws {
        let unit = type.elementsPerUnit
        let bytes = (0..<UInt8(12 * type.width)).map { $0 }
        let view = try TensorView(try OwnedBytes(bytes).lent, type: type, shape: [3, 4 * unit])
        let part = try view.part(ShardDescriptor(offset: [1, unit], extent: [2, 2 * unit]))
        let slot = try OwnedBytes([UInt8](repeating: 0, count: part.byteCount))
        _ = try part.capture(0..<part.byteCount, to: slot.region)
        let rows = [5 * type.width..<7 * type.width, 9 * type.width..<11 * type.width]
        #expect(slot.bytes == rows.flatMap { Array(bytes[$0]) })
        #expect(throws: StateError.self) {
            try view.part(ShardDescriptor(offset: [0, 1], extent: [3, unit]))
        }
        let whole = try TensorView(try OwnedBytes(bytes).lent, type: type, shape: [4 * unit, 3])
        #expect(throws: StateError.self) {
            try whole.part(ShardDescriptor(offset: [0, 1], extent: [4 * unit, 1]))
        }
    }

    @Test("A view outside of its memory is none", arguments: packed)
    func outside(_ type: ElementType) throws {
        let memory = try OwnedBytes([UInt8](repeating: 0, count: 4 * type.width - 1))
        #expect(throws: StateError.self) {
            try TensorView(memory.lent, type: type, shape: [4 * type.elementsPerUnit])
        }
        for stride in [Int.max / 2, Int.min / 2] {
            #expect(throws: StateError.self) {
                try TensorView(
                    memory.lent, type: type, shape: [4, type.elementsPerUnit],
                    strides: [stride / type.elementsPerUnit * type.elementsPerUnit, 1],
                    byteOffset: 0)
            }
        }
    }
}

import CheckpointFormat
import CheckpointState
import Foundation
import CheckpointTestSupport
import Testing

@Suite("Objects", .timeLimit(.minutes(20)))
struct ObjectTests {
    /// Freezes the one object of `provider`, encodes it, and restores it from those bytes.
    private func roundTrip(_ provider: some StateProvider, change: () -> Void) throws -> [UInt8] {
        let item = try #require(try StateInventory(of: provider).objects.first)
        let frozen = try item.freeze()
        change()
        let bytes = try frozen()
        try item.restore(bytes)
        return bytes
    }

    /// - Parameter isStrict: whether the text must obey the manifest's rules too; objects may hold greater integers.
    private func roundTrip<Value: Codable & Sendable>(
        _ value: Value, other: Value, isStrict: Bool = true
    ) throws -> Value {
        let box = Box(value)
        let provider = ObjectState("x", get: { box.value }, set: { box.value = $0 })
        let bytes = try roundTrip(provider) { box.value = other }
        if isStrict { _ = try JSONParser.parse(bytes[...]) }
        return box.value
    }

    @Test(
        "Doubles come back bit for bit",
        arguments: [
            0.0, -0.0, 1.0, -1.0, 0.1, 1.0 / 3, .pi, 1e23, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
            .leastNormalMagnitude, .greatestFiniteMagnitude,
            .infinity, -.infinity, 9_007_199_254_740_992, 1e16, 123_456_789_012_345_680, .leastNormalMagnitude.nextDown,
            4.35, 0.5e-7,
        ])
    func doubles(_ value: Double) throws {
        #expect(try roundTrip(value, other: 42).bitPattern == value.bitPattern)
        #expect(try roundTrip([value, value], other: []).map(\.bitPattern) == [value.bitPattern, value.bitPattern])
    }

    @Test("Random doubles and floats come back bit for bit", arguments: Seeds.first(20))
    func randomNumbers(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let doubles = (0..<50).map { _ in Double(bitPattern: random.next()) }.filter { !$0.isNaN }
        #expect(try roundTrip(doubles, other: []).map(\.bitPattern) == doubles.map(\.bitPattern))
        let floats = (0..<50).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.next())) }.filter {
            !$0.isNaN
        }
        #expect(try roundTrip(floats, other: []).map(\.bitPattern) == floats.map(\.bitPattern))
    }

    @Test(
        "Floats come back bit for bit",
        arguments: [
            0, -0.0, 0.1, 1 / 3, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .greatestFiniteMagnitude, .infinity,
            -.infinity,
            16_777_216, 0.3,
        ] as [Float])
    func floats(_ value: Float) throws {
        #expect(try roundTrip(value, other: 42).bitPattern == value.bitPattern)
    }

    @Test("A NaN comes back as a NaN")
    func notANumber() throws {
        #expect(try roundTrip(Double.nan, other: 0).isNaN)
        #expect(try roundTrip([-Float.nan, 1], other: [])[0].isNaN)
    }

    @Test("Integers of every width come back")
    func integers() throws {
        let large: [UInt64] = [.max, 0, 1 << 53 + 1]
        #expect(try roundTrip(large, other: [], isStrict: false) == large)
        #expect(try roundTrip([Int64.min, .max, -1], other: []) == [.min, .max, -1])
        #expect(try roundTrip([UInt8.max], other: []) == [255])
    }

    private struct Nested: Codable, Equatable {
        var text: String
        var list: [Int?]
        var map: [String: Double]
        var inner: [Nested]
    }

    @Test("Structures come back, and equal values give equal bytes")
    func structures() throws {
        let leaf = Nested(
            text: "\u{0}\n\"/\\\u{1F600}", list: [1, nil], map: ["b": 1, "a": -0.5, "caf\u{E9}": 2], inner: [])
        let value = Nested(text: "nan", list: [], map: [:], inner: [leaf, leaf])
        let box = Box(value)
        let provider = ObjectState("x", get: { box.value }, set: { box.value = $0 })
        let bytes = try roundTrip(provider) { box.value = leaf }
        #expect(box.value == value)
        #expect(try roundTrip(provider) {} == bytes)
    }

    @Test("The value is taken when it is frozen, not when it is encoded")
    func frozen() throws {
        #expect(try roundTrip(17, other: 99) == 17)
    }

    @Test("Bytes that are not the value's are refused, and the value stays")
    func refused() throws {
        let box = Box([1, 2])
        let provider = ObjectState("x", get: { box.value }, set: { box.value = $0 })
        let item = try #require(try StateInventory(of: provider).objects.first)
        for bytes in [[], Array("{}".utf8), Array("[1,".utf8), Array("[1.5]".utf8), [0xFF]] as [[UInt8]] {
            #expect(throws: (any Error).self) { try item.restore(bytes) }
        }
        #expect(box.value == [1, 2])
    }

    @Test("Encoded state passes its bytes through, and its errors")
    func encoded() throws {
        struct Failure: Error {}
        let box = Box<[UInt8]>([0, 255, 10])
        let provider = EncodedState(
            "x", role: .data, freeze: { [bytes = box.value] in { bytes } }, restore: { box.value = $0 })
        let item = try #require(try StateInventory(of: provider).objects.first)
        #expect(item.encoding == .bytes && item.role == .data)
        let bytes = try item.freeze()()
        try item.restore(bytes + [1])
        #expect(box.value == [0, 255, 10, 1])
        let failing = EncodedState("x", freeze: { throw Failure() }, restore: { _ in throw Failure() })
        let bad = try #require(try StateInventory(of: failing).objects.first)
        #expect(throws: Failure.self) { try bad.freeze() }
        #expect(throws: Failure.self) { try bad.restore([]) }
    }

    @Test("An optimizer is its tensors and its step")
    func optimizer() throws {
        let step = Box(7)
        let moment = try view([1, 2, 3])
        let optimizer = OptimizerState(
            tensors: [("m.w", moment, "late"), ("v.w", moment, nil)], getStep: { step.value },
            setStep: { step.value = $0 })
        let inventory = try StateInventory(of: CompositeState("train", group: "all") { optimizer })
        #expect(inventory.tensors.map(\.name) == ["train.optimizer.m.w", "train.optimizer.v.w"])
        #expect(inventory.tensors.map(\.group) == ["late", "all"])
        #expect(inventory.tensors.allSatisfy { $0.role == .optimizer })
        let item = inventory.objects[0]
        #expect(item.name == "train.optimizer.step" && item.role == .optimizer && item.encoding == .json)
        let frozen = try item.freeze()
        step.value = 8
        try item.restore(try frozen())
        #expect(step.value == 7)
    }

    @Test("Raw bytes are a tensor of u8 over the same memory")
    func rawBytes() throws {
        let memory = try OwnedBytes([1, 2, 3, 4])
        let item = try StateInventory(of: RawBytesState("raw", memory.lent)).tensors[0]
        #expect(item.view.type == .u8 && item.view.shape == [4] && item.role == .other)
        #expect(try item.view.captured == [1, 2, 3, 4])
        try item.view.restore(try OwnedBytes([9, 8]).region, at: 1)
        #expect(memory.bytes == [1, 9, 8, 4])
    }
}

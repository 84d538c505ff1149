@testable import CheckpointExchange
import CheckpointFormat
import Testing

@Suite(.timeLimit(.minutes(20))) struct SafetensorsTests {
    @Test func widestFirstSoThatAllAreAligned() throws {
        let header = SafetensorsHeader(
            of: [("b", .u8, [3]), ("a", .f32, [2]), ("c", .f64, [1]), ("d", .bf16, [1])], metadata: [("step", "1")])
        #expect(header.entries.map(\.name) == ["c", "a", "d", "b"])
        #expect(header.entries.allSatisfy { $0.range.lowerBound % $0.type.width == 0 })
        #expect(header.dataOffset % 8 == 0)
        let again = try SafetensorsHeader(json: Array(header.encoded.dropFirst(8)), dataBytes: 8 + 8 + 2 + 3)
        #expect(again.entries.map(\.range) == header.entries.map(\.range) && again.dataOffset == header.dataOffset)
        #expect(again.metadata.map(\.value) == ["1"])
    }

    @Test func everyElementTypeHasANameAndAPlace() {
        for type in ElementType.allCases { #expect(ElementType(safetensorsName: type.safetensorsName) == type) }
        #expect(Set(ElementType.allCases.map(\.safetensorsRank)) == Set(0..<15))
    }

    @Test func shardsAreFilledInOrder() {
        let tensors: [SafetensorsLayout.Tensor] = [
            ("a", .u8, [40]), ("b", .u8, [60]), ("c", .u8, [1]), ("huge", .u8, [500]), ("d", .u8, [0]),
        ]
        let layout = SafetensorsLayout(tensors, shardBytesMax: 100, metadata: [])
        #expect(layout.shards.map { $0.header.entries.map(\.name) } == [["a", "b"], ["c"], ["huge"], ["d"]])
        #expect(layout.shards.map(\.fileName).last == "model-00004-of-00004.safetensors")
        #expect(layout.bytes == 601)
        let empty = SafetensorsLayout([], shardBytesMax: 100, metadata: [])
        #expect(empty.shards.count == 1 && empty.bytes == 0)
    }
}

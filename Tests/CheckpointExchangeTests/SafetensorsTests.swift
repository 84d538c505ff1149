@testable import CheckpointExchange
import CheckpointFormat
import Testing

@Suite(.timeLimit(.minutes(20))) struct SafetensorsTests {
    @Test func widestFirstSoThatAllAreAligned() throws {
        let header = SafetensorsHeader(
            of: [
                SafetensorsTensor("b", .u8, [3]), SafetensorsTensor("a", .f32, [2]), SafetensorsTensor("c", .f64, [1]),
                SafetensorsTensor("d", .bf16, [1]),
            ], metadata: [("step", "1")])
        #expect(header.entries.map(\.name) == ["c", "a", "d", "b"])
        for (entry, width) in zip(header.entries, [8, 4, 2, 1]) { #expect(entry.range.lowerBound % width == 0) }
        #expect(header.dataOffset % 8 == 0)
        let again = try SafetensorsHeader(json: Array(header.encoded.dropFirst(8)), dataBytes: 8 + 8 + 2 + 3)
        #expect(again.entries.map(\.range) == header.entries.map(\.range) && again.dataOffset == header.dataOffset)
        #expect(again.metadata.map(\.value) == ["1"])
    }

    @Test func everyElementTypeHasANameAndAPlaceOrIsBytes() {
        let named = ElementType.allCases.compactMap(\.safetensorsName)
        #expect(Set(named.map(SafetensorsType.rank)) == Set(0..<22))
        for type in ElementType.allCases {
            let tensor = SafetensorsTensor("a", type, [2, 8])
            #expect(tensor.byteCount == 2 * type.bits && tensor.isBytes == (type.safetensorsName == nil))
            if let name = type.safetensorsName {
                #expect(ElementType(safetensorsName: name) == type && tensor.shape == [2, 8] && tensor.type == name)
            } else {
                #expect(tensor.type == "U8" && tensor.shape.reduce(1, *) == tensor.byteCount)
            }
        }
    }

    @Test func shardsAreFilledInOrder() {
        let tensors = [("a", 40), ("b", 60), ("c", 1), ("huge", 500), ("d", 0)].map { SafetensorsTensor($0, .u8, [$1]) }
        let layout = SafetensorsLayout(tensors, shardBytesMax: 100, metadata: [])
        #expect(layout.shards.map { $0.header.entries.map(\.name) } == [["a", "b"], ["c"], ["huge"], ["d"]])
        #expect(layout.shards.map(\.fileName).last == "model-00004-of-00004.safetensors")
        #expect(layout.bytes == 601)
        let empty = SafetensorsLayout([], shardBytesMax: 100, metadata: [])
        #expect(empty.shards.count == 1 && empty.bytes == 0)
    }
}

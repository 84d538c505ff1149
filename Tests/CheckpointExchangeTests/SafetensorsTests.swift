import CheckpointExchange
import CheckpointFormat
import Testing

@Suite struct SafetensorsLayoutTests {
    @Test func widestFirstSoThatAllAreAligned() {
        let header = SafetensorsHeader(
            of: [("b", .u8, [3]), ("a", .f32, [2]), ("c", .f64, [1]), ("d", .bf16, [1])], metadata: [])
        #expect(header.entries.map(\.name) == ["c", "a", "d", "b"])
        #expect(header.entries.allSatisfy { $0.range.lowerBound % $0.type.width == 0 })
        #expect(header.dataOffset % 8 == 0)
    }
}

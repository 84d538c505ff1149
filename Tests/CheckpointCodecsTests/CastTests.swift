import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Casts", .timeLimit(.minutes(20)))
struct CastTests {
    private func cast(_ codec: CodecIdentifier, _ source: [UInt32], _ kernels: CastKernels) throws -> [UInt16] {
        let from = try OwnedBytes(source.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } })
        let raw = try OwnedBytes(zeros: source.count * 2)
        CastCodec.decode(codec, from.region, into: raw.region, kernels: kernels)
        #expect(CastCodec.isCast(raw.region, of: from.region, codec, kernels: kernels))
        let bytes = raw.region.array
        return source.indices.map { UInt16(bytes[2 * $0]) | UInt16(bytes[2 * $0 + 1]) << 8 }
    }

    /// Every pattern of the upper half and of what decides the rounding, and patterns by chance.
    private func words(_ random: inout SeededGenerator) -> [UInt32] {
        let edges: [UInt32] = [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x3001]
        var words = (0...UInt32(UInt16.max)).map { $0 << 16 | edges[Int($0) % edges.count] }
        words += (0..<70_000).map { _ in UInt32(truncatingIfNeeded: random.next()) }
        // Around the subnormals, the smallest normal and the largest of f16.
        for start: UInt32 in [0x3300_0000, 0x387F_E000, 0x477F_E000] { words += (0..<0x4000).map { start + $0 } }
        return words
    }

    @Test("Every instruction set casts as the definition says", arguments: CastKernels.all.map(\.name))
    func definition(_ name: String) throws {
        var random = SeededGenerator(50)
        let kernels = try #require(CastKernels.all.first { $0.name == name })
        let words = words(&random)
        let halves = try cast(.castF16, words, kernels)
        let brains = try cast(.castBF16, words, kernels)
        var wrong = 0
        for (index, word) in words.enumerated() {
            if halves[index] != Self.half(word) || brains[index] != Self.brain(word) { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    /// Swift's own conversion, which rounds likewise, but for NaNs.
    private static func half(_ word: UInt32) -> UInt16 {
        let value = Float(bitPattern: word)
        return value.isNaN ? UInt16(word >> 31) << 15 | 0x7E00 : Float16(value).bitPattern
    }

    /// The nearer of the two neighbours, found by arithmetic in which both are exact.
    private static func brain(_ word: UInt32) -> UInt16 {
        let value = Float(bitPattern: word)
        if value.isNaN { return UInt16(word >> 31) << 15 | 0x7FC0 }
        let low = UInt16(word >> 16)
        guard value.isFinite, word & 0xFFFF != 0 else { return low }
        let below = Double(Float(bitPattern: UInt32(low) << 16)).magnitude
        let next = UInt32(low + 1) << 16
        // What would follow the largest number stands for infinity.
        let above = next & 0x7FFF_FFFF == 0x7F80_0000 ? 0x1p128 : Double(Float(bitPattern: next)).magnitude
        let (down, up) = (Double(value).magnitude - below, above - Double(value).magnitude)
        return down < up || (down == up && low % 2 == 0) ? low : low + 1
    }

    @Test("All lengths; one wrong bit anywhere is no cast", arguments: CastKernels.all.map(\.name))
    func lengths(_ name: String) throws {
        var random = SeededGenerator(51)
        let kernels = try #require(CastKernels.all.first { $0.name == name })
        for count in Array(1...130) + [1023, 1024, 1025, 4099] {
            let source = try OwnedBytes(random.bytes(count * 4))
            for codec in [CodecIdentifier.castBF16, .castF16] {
                let raw = try OwnedBytes(zeros: count * 2)
                CastCodec.decode(codec, source.region, into: raw.region, kernels: kernels)
                var bytes = raw.region.array
                bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
                #expect(!CastCodec.isCast(try OwnedBytes(bytes).region, of: source.region, codec, kernels: kernels))
            }
        }
    }
}

import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Hashing", .timeLimit(.minutes(20)))
struct HashingTests {
    /// Length, XXH3-128 and XXH3-64 as python3-xxhash computes them over `known(length)`.
    private static let table: [(Int, String, UInt64)] = [
        (0, "99aa06d3014798d86001c324468d497f", 0x2D06_8005_38D3_94C2),
        (1, "a6cd5e9392000f6ac44bdff4074eecdb", 0xC44B_DFF4_074E_ECDB),
        (3, "656e81c56e41fe02c3489259e968ad9e", 0xC348_9259_E968_AD9E),
        (4, "ab5c3e7474d809db81a65295de8e7dde", 0xD3D6_0C15_1901_4E89),
        (8, "e4b9dd0b66ff3c50ebabbd0695002ff6", 0xB88D_EE77_F6BF_6980),
        (9, "82ddc95bc76007671c69c3f04aaed08c", 0x0368_8DCA_D730_D826),
        (16, "ddf6c1254d70f76794eaa17b20756f46", 0x9DA2_3836_ADF2_BE1E),
        (17, "263f67af63088041735fe434ded90c3c", 0xF34C_3C9C_F5A1_12D1),
        (128, "dd9e5aa9bd51cc9cc6bd21ecc865f29f", 0x65F3_C2C0_0FA9_3185),
        (129, "00433635cf8d872e7f4accb76587485b", 0x2806_5C6E_C25F_5B25),
        (240, "89e3a0a2ee355d25d10beb4e0599e4b3", 0x4917_A75C_0EF8_EED7),
        (241, "75f4da43f23cce5a541b19226f0052e8", 0x541B_1922_6F00_52E8),
        (1024, "fd58ff7c09808f5ef8cae2b9bc3b4a23", 0xF8CA_E2B9_BC3B_4A23),
        (4096, "4d9c96086bc0f203390ab4d9d96e0a59", 0x390A_B4D9_D96E_0A59),
        (131_072, "0cde4cfc9005fa53df3fef4b45d83e4f", 0xDF3F_EF4B_45D8_3E4F),
        (1_048_577, "fe7d74e1753b48028325c3d2e4a08c91", 0x8325_C3D2_E4A0_8C91),
    ]

    private func known(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 8) }
    }

    @Test("XXH3 as others compute it", arguments: table)
    func knownValues(_ count: Int, _ hash128: String, _ hash64: UInt64) throws {
        let memory = try OwnedBytes(known(count))
        #expect(memory.region.hash128.description == hash128)
        #expect(memory.region.hash64 == hash64)
        let derived = Hashing.hash64(from: memory.region.hash128, byteCount: count)
        #expect(derived == (count > 240 ? hash64 : nil))
        #expect(Hashing.digest(memory.bytes[...]).description == hash128)
        var stream = HashStream()
        var position = 0
        for step in [1, 255, 4096, Int.max] {
            let end = min(count, position + min(step, count))
            unsafe stream.append(memory.region[position..<end].bytes)
            position = end
        }
        #expect(stream.value.description == hash128)
    }

    @Test("Copying while hashing gives the same hash, the same bytes, and touches nothing else")
    func copyAndHash() throws {
        var random = SeededGenerator(7)
        let largest = (3 << 17) + 65
        let source = try OwnedBytes(random.bytes(largest + 64))
        let target = try OwnedBytes(zeros: largest + 192)
        var lengths = Array(0...1024)
        for steps in 1...3 { lengths += [-65, -64, -63, -1, 0, 1, 63, 64, 65].map { steps << 17 + $0 } }
        for length in lengths {
            let (from, to) = (random.below(64), random.below(64))
            try check(source.region[from..<from + length], target.region, to)
        }
    }

    /// Copies to offset `to` of `target`, which is filled with a canary.
    private func check(_ source: MemoryRegion, _ target: MemoryRegion, _ to: Int) throws {
        let guarded = target[0..<to + source.count + 64]
        unsafe guarded.mutableBytes.initializeMemory(as: UInt8.self, repeating: 0xA5)
        let room = guarded[to..<to + source.count]
        let hash = unsafe Hashing.copyAndHash128(from: source.bytes, to: room.mutableBytes)
        #expect(hash == source.hash128, "length \(source.count)")
        #expect(unsafe room.bytes.elementsEqual(source.bytes), "length \(source.count)")
        let canaries =
            unsafe guarded[0..<to].bytes.allSatisfy { $0 == 0xA5 }
            && guarded[(to + source.count)...].bytes.allSatisfy { $0 == 0xA5 }
        #expect(canaries, "length \(source.count) at \(to)")
    }

    @Test("The first byte that is not zero is found wherever it is")
    func firstNonzero() throws {
        let memory = try OwnedBytes(zeros: 600)
        for start in 0..<5 {
            for end in stride(from: start, through: 600, by: 7) {
                #expect(memory.region[start..<end].firstNonzero == nil)
            }
        }
        for index in 0..<600 {
            var bytes = [UInt8](repeating: 0, count: 600)
            bytes[index] = 0x80
            if index < 500 { bytes[index + 50] = 1 }
            memory.region.store(bytes[...])
            #expect(memory.region.firstNonzero == index)
            #expect(memory.region[index..<600].firstNonzero == 0)
            #expect(memory.region[0..<index].firstNonzero == nil)
        }
    }

    @Test("A stream gives the hash of the whole, however it is cut", arguments: Seeds.first(20))
    func streams(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let memory = try OwnedBytes(random.bytes(random.below(5000)))
        var stream = HashStream()
        var position = 0
        while position < memory.count {
            let end = position + random.below(memory.count - position + 1)
            unsafe stream.append(memory.region[position..<end].bytes)
            position = max(end, position)
        }
        #expect(stream.value == memory.region.hash128)
    }
}

extension MemoryRegion {
    fileprivate subscript(range: PartialRangeFrom<Int>) -> MemoryRegion { self[range.lowerBound..<count] }
}

import CheckpointCodecs
import CheckpointTestSupport
import Testing

@Suite("Cyclic checks", .timeLimit(.minutes(20)))
struct CyclicCheckTests {
    private func value(_ check: CyclicCheck, _ bytes: ArraySlice<UInt8>, after before: UInt64 = 0) -> UInt64 {
        unsafe bytes.withUnsafeBytes { unsafe check.value(of: $0, after: before) }
    }

    /// One bit at a time, as the definitions have it.
    private func slow(_ check: CyclicCheck, _ bytes: [UInt8]) -> UInt64 {
        let polynomial: UInt64 = check == .crc64nvme ? 0x9a6c_9329_ac4b_c9b5 : 0x82f6_3b78
        let all: UInt64 = check == .crc64nvme ? .max : 0xffff_ffff
        let rest = bytes.reduce(all) { rest, byte in
            (0..<8).reduce(rest ^ UInt64(byte)) { rest, _ in rest >> 1 ^ (rest & 1 == 1 ? polynomial : 0) }
        }
        return rest ^ all
    }

    @Test("The values that the definitions give", arguments: CyclicCheck.allCases)
    func known(_ check: CyclicCheck) {
        let wanted: UInt64 = check == .crc64nvme ? 0xae8b_1486_0a79_9888 : 0xe306_9283
        #expect(value(check, Array("123456789".utf8)[...]) == wanted)
        #expect(value(check, []) == 0)
    }

    @Test("Of any bytes, at any address", arguments: CyclicCheck.allCases)
    func lengths(_ check: CyclicCheck) {
        let seed = Seeds.random()
        var random = SeededGenerator(seed)
        for count in 0..<100 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(value(check, bytes[...]) == slow(check, bytes), "\(count) bytes, seed \(seed)")
            let first = bytes.indices.randomElement(using: &random) ?? 0
            #expect(value(check, bytes[first...]) == slow(check, Array(bytes[first...])), "seed \(seed)")
        }
    }

    @Test("That of a whole follows from its parts", arguments: CyclicCheck.allCases)
    func joined(_ check: CyclicCheck) {
        let seed = Seeds.random()
        var random = SeededGenerator(seed)
        for count in [0, 1, 7, 8, 1000, 70_000] {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let whole = value(check, bytes[...])
            for cut in [0, count / 3, count] {
                let (first, second) = (value(check, bytes[..<cut]), value(check, bytes[cut...]))
                #expect(check.joined(first, second, secondCount: count - cut) == whole, "seed \(seed)")
                #expect(value(check, bytes[cut...], after: first) == whole, "seed \(seed)")
            }
        }
        // Longer than any memory: by the parts of 2^40 zeros, each half of the next.
        var (zeros, length) = (value(check, [0]), 1)
        for _ in 0..<40 {
            zeros = check.joined(zeros, zeros, secondCount: length)
            length *= 2
            if length <= 1 << 16 {
                #expect(zeros == value(check, [UInt8](repeating: 0, count: length)[...]))
            }
        }
    }
}

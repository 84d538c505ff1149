import CheckpointCodecs
import CheckpointTestSupport
import Testing

@Suite("Plane kernels", .timeLimit(.minutes(20)))
struct KernelTests {
    /// One layout that the format allows.
    private static let transforms: [PlaneTransform] = [1, 2, 4, 8].flatMap { width in
        [0, 1, 5].flatMap { rotation in
            PlaneTransform.Residual.allCases.map { PlaneTransform(width: width, rotation: rotation, residual: $0) }
        }
    }.filter(\.isValid)

    @Test("The scalar set is there, and comes last")
    func sets() { #expect(PlaneKernels.all.last?.name == "scalar" && PlaneKernels.best.name == PlaneKernels.all[0].name) }

    /// What the page says of one element, in the plainest arithmetic.
    private func specified(_ x: UInt64, _ b: UInt64, _ how: PlaneTransform) -> UInt64 {
        let bits = UInt64(8 * how.width)
        let mask = bits == 64 ? UInt64.max : 1 << bits - 1
        func ordered(_ x: UInt64) -> UInt64 { x >> (bits - 1) == 0 ? x : x ^ (mask >> 1) }
        func zigzag(_ d: UInt64) -> UInt64 { d >> (bits - 1) == 0 ? d << 1 & mask : ~(d << 1) & mask }
        let y =
            switch how.residual {
            case .none: x
            case .xor: x ^ b
            case .difference: zigzag((x &- b) & mask)
            case .ordered: zigzag((ordered(x) &- ordered(b)) & mask)
            }
        return how.rotation > 0 ? (y << UInt64(how.rotation) | y >> (bits - UInt64(how.rotation))) & mask : y
    }

    @Test("Every set splits as the page says, and merges it back, at any length", arguments: transforms)
    func splitAndMerge(_ how: PlaneTransform) throws {
        var random = SeededGenerator(30)
        for count in [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 130, 511, 512, 513, 1025, 4096, 4097, 5003] {
            let bytes = count * how.width
            let content = Elements.allCases.randomElement(using: &random) ?? .random
            let raw = try OwnedBytes(content.bytes(bytes, &random))
            let base = try OwnedBytes(zip(raw.bytes, random.bytes(bytes)).map { $0 ^ ($1 & 3) })
            let expected = planes(raw.bytes, base.bytes, count, how)
            for set in PlaneKernels.all { try check(set, raw, base, count, how, expected) }
        }
    }

    private func planes(_ raw: [UInt8], _ base: [UInt8], _ count: Int, _ how: PlaneTransform) -> [UInt8] {
        var planes = [UInt8](repeating: 0, count: raw.count)
        for element in 0..<count {
            func word(_ bytes: [UInt8]) -> UInt64 {
                (0..<how.width).reduce(0) { $0 | UInt64(bytes[element * how.width + $1]) << (8 * UInt64($1)) }
            }
            let y = specified(word(raw), word(base), how)
            for plane in 0..<how.width { planes[plane * count + element] = UInt8(truncatingIfNeeded: y >> (8 * UInt64(plane))) }
        }
        return planes
    }

    private func check(
        _ set: PlaneKernels, _ raw: OwnedBytes, _ base: OwnedBytes, _ count: Int, _ how: PlaneTransform, _ expected: [UInt8]
    ) throws {
        let target = try OwnedBytes([UInt8](repeating: 0xA5, count: expected.count + 64))
        let back = try OwnedBytes([UInt8](repeating: 0xA5, count: expected.count + 64))
        guard let elements = unsafe raw.region.bytes.baseAddress, let start = unsafe target.region.mutableBytes.baseAddress,
            let end = unsafe back.region.mutableBytes.baseAddress
        else { return }
        var pointers = PlanePointers()
        for plane in 0..<how.width { unsafe pointers[plane] = start + plane * count }
        unsafe set.split(elements, base: base.region.bytes.baseAddress, count: count, how, into: pointers)
        #expect(Array(target.bytes.prefix(expected.count)) == expected, "\(set.name) \(how) of \(count)")
        unsafe set.merge(pointers, base: base.region.bytes.baseAddress, count: count, how, into: end)
        #expect(Array(back.bytes.prefix(expected.count)) == raw.bytes, "\(set.name) \(how) of \(count), merged")
        for memory in [target, back] { #expect(memory.bytes.suffix(64).allSatisfy { $0 == 0xA5 }, "\(set.name) wrote past \(count)") }
    }

    @Test("Every set codes the most frequent bytes alike, and decodes them", arguments: 1...4)
    func top(_ bits: Int) throws {
        var random = SeededGenerator(31)
        let symbols = (1 << bits) - 1
        for count in [0, 1, 5, 63, 64, 65, 100, 128, 200, 1000, 4096, 5001] {
            for rarity in [0, 3, 50, 100] {
                var table = Array(Array(0...255).shuffled(using: &random).prefix(symbols).map(UInt8.init))
                // A table may hold a byte twice, and not be full.
                if rarity == 3, symbols > 1 { table[symbols - 1] = table[0] }
                let plane = (0..<count).map { _ in
                    random.below(100) < rarity ? UInt8.random(in: 0...255, using: &random) : table.randomElement(using: &random) ?? 0
                }
                let all = try PlaneKernels.all.map { try encode(plane, bits, table, with: $0) }
                for (index, coded) in all.enumerated() {
                    #expect(coded == all[0], "\(PlaneKernels.all[index].name), \(count) bytes")
                    for set in PlaneKernels.all { try checkDecoding(coded, plane, bits, table, with: set) }
                }
            }
        }
    }

    private struct Coded: Equatable {
        var words: [UInt8]
        var escapes: [UInt8]
    }

    private func encode(_ plane: [UInt8], _ bits: Int, _ table: [UInt8], with set: PlaneKernels) throws -> Coded {
        let (source, table) = (try OwnedBytes(plane), try OwnedBytes(table))
        let words = try OwnedBytes(zeros: (plane.count + 63) / 64 * 8 * bits)
        let escapes = try OwnedBytes([UInt8](repeating: 0xA5, count: plane.count + 64))
        guard let symbols = unsafe table.region.bytes.baseAddress, let start = unsafe words.region.mutableBytes.baseAddress else {
            return Coded(words: [], escapes: [])
        }
        let count = unsafe set.topEncode(
            source.region.bytes, bits: bits, table: symbols, words: start, escapes: escapes.region.prefix(plane.count).mutableBytes)
        let used = try #require(count, "\(set.name)")
        #expect(escapes.bytes.suffix(64).allSatisfy { $0 == 0xA5 }, "\(set.name) wrote past the room for escapes")
        if used > 0 {
            let short = unsafe set.topEncode(
                source.region.bytes, bits: bits, table: symbols, words: start, escapes: escapes.region.prefix(used - 1).mutableBytes)
            #expect(short == nil, "\(set.name) found room for \(used) escapes in \(used - 1)")
            _ = unsafe set.topEncode(
                source.region.bytes, bits: bits, table: symbols, words: start, escapes: escapes.region.prefix(used).mutableBytes)
        }
        return Coded(words: words.bytes, escapes: Array(escapes.bytes.prefix(used)))
    }

    private func checkDecoding(_ coded: Coded, _ plane: [UInt8], _ bits: Int, _ table: [UInt8], with set: PlaneKernels) throws {
        let (table, words, escapes) = (try OwnedBytes(table), try OwnedBytes(coded.words), try OwnedBytes(coded.escapes))
        let target = try OwnedBytes([UInt8](repeating: 0xA5, count: plane.count + 64))
        guard let symbols = unsafe table.region.bytes.baseAddress, let start = unsafe words.region.bytes.baseAddress else { return }
        func decode(_ escapes: MemoryRegion) -> Int? {
            unsafe set.topDecode(
                target.region.prefix(plane.count).mutableBytes, bits: bits, table: symbols, words: start, escapes: escapes.bytes)
        }
        #expect(decode(escapes.region) == coded.escapes.count, "\(set.name)")
        #expect(Array(target.bytes.prefix(plane.count)) == plane, "\(set.name), \(plane.count) bytes")
        if !coded.escapes.isEmpty { #expect(decode(escapes.region.prefix(coded.escapes.count - 1)) == nil, "\(set.name)") }
        #expect(target.bytes.suffix(64).allSatisfy { $0 == 0xA5 }, "\(set.name) wrote past the plane")
    }

    @Test("A bit beyond the end of a plane is refused by every set")
    func bitsBeyondTheEnd() throws {
        let (table, words) = (try OwnedBytes([7]), try OwnedBytes([0, 0, 0, 0, 0, 0, 0, 0x80]))
        let target = try OwnedBytes(zeros: 63)
        guard let symbols = unsafe table.region.bytes.baseAddress, let start = unsafe words.region.bytes.baseAddress else { return }
        for set in PlaneKernels.all {
            let used = unsafe set.topDecode(
                target.region.mutableBytes, bits: 1, table: symbols, words: start, escapes: UnsafeRawBufferPointer(start: start, count: 0))
            #expect(used == nil, "\(set.name)")
        }
    }
}

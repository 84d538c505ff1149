import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

/// The plane codecs over arrays of bytes, in memory that ends where it is said to.
enum Planes {
    static func encode(
        _ raw: [UInt8], _ runs: [ElementRun], _ effort: PlaneEffort, memory: inout CodecMemory
    ) throws -> [UInt8]? {
        unsafe try encoding(raw) { raw, stored in
            unsafe PlanesCodec(effort: effort).encode(raw, runs: runs, memory: &memory, into: stored)
        }
    }

    static func encode(_ raw: [UInt8], _ runs: [ElementRun], _ effort: PlaneEffort) throws -> [UInt8] {
        var memory = CodecMemory()
        return try #require(try encode(raw, runs, effort, memory: &memory))
    }

    static func encode(_ raw: [UInt8], _ type: ElementType?, _ effort: PlaneEffort) throws -> [UInt8] {
        try encode(raw, [ElementRun(bytes: raw.count, type: type)], effort)
    }

    static func delta(_ raw: [UInt8], base: [UInt8], _ runs: [ElementRun], _ effort: PlaneEffort) throws -> [UInt8] {
        let base = try OwnedBytes(base)
        let stored = unsafe try encoding(raw) { raw, stored in
            unsafe DeltaCodec().encode(raw, base: base.region.bytes, runs: runs, effort: effort, into: stored)
        }
        return try #require(stored)
    }

    static func decode(_ stored: [UInt8], rawBytes: Int, base: [UInt8]? = nil) throws -> [UInt8] {
        let source = try OwnedBytes(stored)
        let target = try OwnedBytes([UInt8](repeating: 0xA5, count: rawBytes + 64))
        let base = try base.map { try OwnedBytes($0) }
        defer { #expect(target.bytes.suffix(64).allSatisfy { $0 == 0xA5 }, "written past \(rawBytes) raw bytes") }
        let raw = target.region.prefix(rawBytes)
        if let base {
            unsafe try DeltaCodec().decode(source.region.bytes, base: base.region.bytes, into: raw.mutableBytes)
        } else {
            unsafe try PlanesCodec(effort: .fast).decode(source.region.bytes, into: raw.mutableBytes)
        }
        return Array(target.bytes.prefix(rawBytes))
    }

    private static func encoding(
        _ raw: [UInt8], _ body: (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) -> Int?
    ) throws -> [UInt8]? {
        let source = try OwnedBytes(raw)
        // Room for a sub-block a run, however short the runs are.
        let target = try OwnedBytes([UInt8](repeating: 0xA5, count: raw.count + 4096))
        let count = unsafe body(source.region.bytes, target.region.prefix(raw.count + 4032).mutableBytes)
        #expect(target.bytes.suffix(64).allSatisfy { $0 == 0xA5 }, "written past the room")
        return count.map { Array(target.bytes.prefix($0)) }
    }
}

/// Elements as tensors have them.
enum Elements: CaseIterable, Sendable {
    case random, equal, weights, special, counting, sparse

    func bytes(_ count: Int, _ random: inout SeededGenerator) -> [UInt8] {
        switch self {
        case .random: random.bytes(count)
        case .equal: [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: count)
        case .weights: Content.floats.bytes(count, &random)
        case .special: cut(count) { Self.specials.randomElement(using: &random) ?? 0 }
        case .counting:
            {
                var value = UInt32(random.below(1000))
                return cut(count) {
                    value &+= 1
                    return value
                }
            }()
        case .sparse: cut(count) { random.below(20) == 0 ? UInt32(truncatingIfNeeded: random.next()) : 0 }
        }
    }

    /// Zeros of both signs, denormals, infinities, NaNs with payloads, extremes.
    private static let specials: [UInt32] = [
        0, 0x8000_0000, 1, 0x8000_0001, 0x007F_FFFF, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7FC1_2345, 0xFFFF_FFFF, 0x7F80_0001,
        0x7F7F_FFFF, 0x0080_0000, 0x7FFF_7FFF, 0x8000_8000, 0x0001_0001, 0xFC00_7C00,
    ]

    private func cut(_ count: Int, _ next: () -> UInt32) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 4)
        while bytes.count < count {
            let word = next()
            for shift in [UInt32(0), 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        return Array(bytes.prefix(count))
    }
}

/// Every element type, and none.
let elementTypes: [ElementType?] = ElementType.allCases + [nil]

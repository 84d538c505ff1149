import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

/// A codec under test.
struct Subject: Sendable, CustomTestStringConvertible {
    var codec: any BlockCodec
    var testDescription: String

    init(_ compression: Compression) {
        codec = compression.codec
        testDescription = compression.description
    }

    static let all = [Compression.none, .lz4, .zstd(level: 1), .zstd(level: 3), .zstd(level: 19), .fast, .balanced, .max].map(Subject.init)

    /// Encodes into memory of exactly the size that the codec asks for, with a canary behind it.
    func encode(_ raw: [UInt8]) throws -> [UInt8]? {
        let source = try OwnedBytes(raw)
        let bound = codec.encodedBytesMax(raw.count)
        let target = try OwnedBytes([UInt8](repeating: 0xA5, count: bound + 64))
        let count = unsafe codec.encode(source.region.bytes, into: target.region.prefix(bound).mutableBytes)
        #expect(
            target.bytes.suffix(64).allSatisfy { $0 == 0xA5 }, "written past the bound of \(bound) for \(raw.count)")
        return count.map { Array(target.bytes.prefix($0)) }
    }

    /// Decodes into memory of exactly `rawBytes`, with a canary behind it.
    func decode(_ stored: [UInt8], rawBytes: Int) throws -> [UInt8] {
        let source = try OwnedBytes(stored)
        let target = try OwnedBytes([UInt8](repeating: 0xA5, count: rawBytes + 64))
        defer { #expect(target.bytes.suffix(64).allSatisfy { $0 == 0xA5 }, "written past \(rawBytes) raw bytes") }
        unsafe try codec.decode(source.region.bytes, into: target.region.prefix(rawBytes).mutableBytes)
        return Array(target.bytes.prefix(rawBytes))
    }
}

/// Bytes of several natures.
enum Content: CaseIterable {
    case random, equal, floats

    func bytes(_ count: Int, _ random: inout SeededGenerator) -> [UInt8] {
        switch self {
        case .random: return random.bytes(count)
        case .equal: return [UInt8](repeating: 0x5A, count: count)
        case .floats:
            // Weights as they are: exponents alike, mantissas noise.
            var bytes: [UInt8] = []
            while bytes.count < count {
                let bits = (Float.random(in: -1...1, using: &random) * 0.02).bitPattern
                bytes += (0..<4).map { UInt8(truncatingIfNeeded: bits >> UInt32(8 * $0)) }
            }
            return Array(bytes.prefix(count))
        }
    }
}

@Suite("Every codec", .timeLimit(.minutes(20)))
struct CodecContractTests {
    private static let large: [UInt8] = {
        var random = SeededGenerator(10)
        return Content.floats.bytes((1 << 20) + 1, &random)
    }()

    @Test("What is encoded decodes to itself, in the room that was promised", arguments: Subject.all)
    func roundTrip(_ subject: Subject) throws {
        var random = SeededGenerator(11)
        let lengths = Array(0...300) + (4090...4102) + [(1 << 20) - 1, 1 << 20, (1 << 20) + 1]
        for length in lengths {
            for content in Content.allCases where length < 1 << 20 || content == .floats {
                let raw = length < 5000 ? content.bytes(length, &random) : Array(Self.large.prefix(length))
                let stored = try #require(try subject.encode(raw), "\(content) of \(length)")
                #expect(try subject.decode(stored, rawBytes: length) == raw, "\(content) of \(length)")
            }
        }
    }

    @Test("An encoder that has too little room says so, and stays inside", arguments: Subject.all)
    func littleRoom(_ subject: Subject) throws {
        var random = SeededGenerator(12)
        let source = try OwnedBytes(random.bytes(1000))
        for room in [0, 1, 10, 500, 999] {
            let target = try OwnedBytes([UInt8](repeating: 0xA5, count: room + 64))
            let count = unsafe subject.codec.encode(source.region.bytes, into: target.region.prefix(room).mutableBytes)
            #expect(count == nil, "1000 random bytes in \(room)")
            #expect(target.bytes.suffix(64).allSatisfy { $0 == 0xA5 })
        }
    }

    @Test("Stored bytes that are cut, extended or for another size are refused", arguments: Subject.all)
    func wrongSizes(_ subject: Subject) throws {
        var random = SeededGenerator(13)
        for content in Content.allCases {
            for length in [1, 2, 17, 300, 5000] {
                let stored = try #require(try subject.encode(content.bytes(length, &random)))
                let cuts = stored.count < 600 ? Array(0..<stored.count) : (0..<40).map { $0 * stored.count / 40 }
                for cut in cuts { refuse(subject, Array(stored[..<cut]), length, "cut at \(cut) of \(stored.count)") }
                for extra in [1, 4, 64] {
                    refuse(subject, stored + random.bytes(extra), length, "\(extra) bytes more")
                    refuse(subject, stored + [UInt8](repeating: 0, count: extra), length, "\(extra) zeros more")
                }
                for other in [1, length - 1, length + 1, length * 2] where other != length && other > 0 {
                    refuse(subject, stored, other, "decoded into \(other)")
                }
            }
        }
    }

    private func refuse(_ subject: Subject, _ stored: [UInt8], _ rawBytes: Int, _ what: String) {
        let error = #expect(throws: CodecError.self, "\(rawBytes) bytes, \(what)") {
            try subject.decode(stored, rawBytes: rawBytes)
        }
        #expect(error?.codec == subject.codec.identifier)
    }

    @Test("Garbage and flipped bits never reach past the room, whatever they decode to", arguments: Subject.all)
    func garbage(_ subject: Subject) throws {
        var random = SeededGenerator(14)
        for _ in 0..<400 {
            // Decoded or refused: `decode` checks the canary either way.
            _ = try? subject.decode(random.bytes(1 + random.below(100)), rawBytes: 1 + random.below(300))
        }
        let stored = try #require(try subject.encode(Content.floats.bytes(600, &random)))
        for index in stored.indices {
            var changed = stored
            changed[index] ^= 1 << UInt8(index % 8)
            _ = try? subject.decode(changed, rawBytes: 600)
        }
    }

    @Test("The decoder of a number is the codec of that number")
    func registry() {
        for identifier in CodecIdentifier.allCases {
            #expect(CodecRegistry.decoder(identifier).identifier == identifier)
        }
        #expect(Subject.all.map(\.codec.identifier) == [.raw, .lz4, .zstd, .zstd, .zstd, .planes, .planes, .planes])
    }

    @Test(
        "Saving less than a 64th is not worthwhile",
        arguments: [
            (64, 64, false), (64, 63, true), (128, 127, false), (128, 126, true), (10, 9, true), (10, 10, false),
            (1, 1, false),
            (1, 0, true), (4 << 20, (4 << 20) - (64 << 10), true), (4 << 20, (4 << 20) - (64 << 10) + 1, false),
        ])
    func worthwhile(_ raw: Int, _ stored: Int, _ expected: Bool) {
        #expect(StorageRule.isWorthwhile(storedBytes: stored, rawBytes: raw) == expected)
    }
}

@Suite("Compression", .timeLimit(.minutes(20)))
struct CompressionTests {
    @Test(
        "What a person may write",
        arguments: [
            ("none", Compression.none), ("auto", .auto), ("lz4", .lz4), ("zstd", .zstd(level: 1)), ("zstd:1", .zstd(level: 1)),
            ("zstd:19", .zstd(level: 19)), ("fast", .fast), ("balanced", .balanced), ("max", .max),
        ])
    func parsed(_ text: String, _ expected: Compression) {
        #expect(Compression(text) == expected)
        #expect(Compression(expected.description) == expected)
    }

    @Test(
        "What is refused",
        arguments: [
            "", "None", "raw", "zstd:", "zstd:0", "zstd:20", "zstd:-1", "zstd:x", "zstd:1:2", "lz4:1", "none:", " zstd",
            "zstd:3 ", ":", "fast:1", "Max", "balanced:", "planes",
        ])
    func refused(_ text: String) { #expect(Compression(text) == nil) }
}

@Suite("Zstandard frames", .timeLimit(.minutes(20)))
struct ZstdFrameTests {
    /// A frame of one raw block, with this window descriptor.
    private func frame(window: UInt8, _ raw: [UInt8]) -> [UInt8] {
        let header = UInt32(raw.count) << 3 | 1
        return [0x28, 0xB5, 0x2F, 0xFD, 0, window, UInt8(header & 0xFF), UInt8(header >> 8 & 0xFF), 0] + raw
    }

    @Test(
        "Windows up to the largest block are read, larger ones refused",
        arguments: [
            (UInt8(0x00), true), (0x68, true), (0x70, true), (0x7F, true), (0x80, true), (0x81, false), (0x88, false),
            (0xFF, false),
        ])
    func windows(_ window: UInt8, _ isRead: Bool) throws {
        let subject = Subject(.zstd(level: 1))
        let raw = Array(0..<UInt8(100))
        if isRead {
            #expect(try subject.decode(frame(window: window, raw), rawBytes: 100) == raw)
        } else {
            #expect(throws: CodecError.self) { try subject.decode(frame(window: window, raw), rawBytes: 100) }
        }
    }

    @Test("Skippable frames are refused, alone and beside a frame")
    func skippable() {
        let subject = Subject(.zstd(level: 1))
        let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]
        let raw = [UInt8](repeating: 3, count: 50)
        for (stored, size) in [
            (skippable, 0), (skippable, 50), (skippable + frame(window: 0, raw), 50),
            (frame(window: 0, raw) + skippable, 50),
        ] {
            #expect(throws: CodecError.self) { try subject.decode(stored, rawBytes: size) }
        }
    }
}

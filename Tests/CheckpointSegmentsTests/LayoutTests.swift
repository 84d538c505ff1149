import CheckpointCodecs
import CheckpointFormat
import CheckpointSegments
import CheckpointTestSupport
import Testing

@Suite("Segment layout", .timeLimit(.minutes(20)))
struct LayoutTests {
    @Test("Places tile each segment from its first page, and segments end at their size", arguments: Seeds.first(200))
    func properties(_ seed: UInt64) {
        var random = SeededGenerator(seed)
        let limit = 8192 + random.below(200_000)
        var layout = SegmentLayout(segmentBytesMax: limit)
        #expect(layout.segmentCount == 0)
        var last = SegmentLayout.Place(segment: 0, offset: Limits.pageBytes)
        var end = Limits.pageBytes
        for index in 0..<100 {
            let bytes = 1 + random.below(random.below(5) == 0 ? 300_000 : 30_000)
            let place = layout.place(bytes: bytes)
            if place.segment == last.segment {
                #expect(place.offset == end)
                #expect(index == 0 || place.offset + roundedUpToPage(bytes) <= limit)
            } else {
                // A new segment only because the old one is full, and the next in number.
                #expect(place.segment == last.segment + 1 && place.offset == Limits.pageBytes)
                #expect(end + roundedUpToPage(bytes) > limit)
            }
            #expect(layout.segmentCount == place.segment + 1)
            last = place
            end = place.offset + roundedUpToPage(bytes)
        }
    }

    @Test("A segment is filled to its last byte")
    func full() {
        var layout = SegmentLayout(segmentBytesMax: 12288)
        #expect(layout.place(bytes: 4096) == .init(segment: 0, offset: 4096))
        #expect(layout.place(bytes: 4096) == .init(segment: 0, offset: 8192))
        #expect(layout.place(bytes: 1) == .init(segment: 1, offset: 4096))
    }

    @Test("A block larger than a segment gets one of its own")
    func large() {
        var layout = SegmentLayout(segmentBytesMax: 8192)
        #expect(layout.place(bytes: 100_000) == .init(segment: 0, offset: 4096))
        #expect(layout.place(bytes: 1) == .init(segment: 1, offset: 4096))
        #expect(layout.place(bytes: 1) == .init(segment: 2, offset: 4096))
        #expect(layout.segmentCount == 3)
    }
}

@Suite("Block encoder", .timeLimit(.minutes(20)))
struct EncoderTests {
    @Test(
        "Blocks that hardly shrink are stored raw; padding is zero whatever lay there",
        arguments: [
            Compression.none, .lz4, .zstd(level: 3),
        ])
    func choice(_ compression: Compression) throws {
        var random = SeededGenerator(3)
        for count in [1, 63, 64, 100, 4095, 4096, 4097, 50_000] {
            for isNoise in [true, false] {
                let raw = isNoise ? random.bytes(count) : [UInt8](repeating: 7, count: count)
                let encoder = BlockEncoder(compression)
                let memory = try OwnedBytes(raw + [UInt8](repeating: 0xEE, count: roundedUpToPage(count) - count))
                let spare = try OwnedBytes([UInt8](repeating: 0xEE, count: memory.region.count))
                let (block, isInSpare) = encoder.encode(
                    memory.region, rawBytes: count, contentHash: Bool.random(using: &random) ? Hashing.digest(raw[...]) : nil,
                    spare: compression == .none ? nil : spare.region)
                let padded = (isInSpare ? spare : memory).region.prefix(roundedUpToPage(block.storedBytes))
                #expect(isInSpare == (block.codec != .raw))
                let isRaw = compression == .none || isNoise || count == 1
                if count == 1 || count >= 100 { #expect(block.codec == (isRaw ? .raw : compression.codec.identifier)) }
                #expect(block.rawBytes == count)
                #expect(padded.array.dropFirst(block.storedBytes).allSatisfy { $0 == 0 })
                #expect(block.storedHash == padded.prefix(block.storedBytes).hash64)
                if block.codec == .raw { #expect(Array(padded.array.prefix(count)) == raw) }
            }
        }
    }
}

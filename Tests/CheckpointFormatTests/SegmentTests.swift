import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

/// Reads header, trailer and index of a whole segment in memory.
private func structure(_ bytes: [UInt8]) throws(FormatError) -> (header: SegmentHeader, index: SegmentIndex) {
    let header = try SegmentHeader(decoding: bytes.prefix(Limits.pageBytes), digest: Hashing.digest)
    return (header, try index(bytes[...]))
}

private func index(_ bytes: ArraySlice<UInt8>) throws(FormatError) -> SegmentIndex {
    let trailer = try SegmentIndex.Trailer(decoding: bytes.suffix(SegmentIndex.trailerBytes), fileBytes: bytes.count)
    return try SegmentIndex(decoding: bytes[trailer.indexOffset...], trailer: trailer, digest: Hashing.digest)
}

/// Reads what stands at the end of a segment that was cut: the header, or else the index.
private func end(_ bytes: ArraySlice<UInt8>) throws(FormatError) {
    if bytes.count < Limits.pageBytes {
        _ = try SegmentHeader(decoding: bytes, digest: Hashing.digest)
    } else {
        _ = try index(bytes)
    }
}

/// A segment of random blocks, whose bytes are left zero: the structure does not hash them.
private func randomSegment(_ seed: UInt64) -> (header: SegmentHeader, index: SegmentIndex, bytes: [UInt8]) {
    var random = SeededGenerator(seed)
    let name = SegmentName(
        attempt: CheckpointID(rawValue: random.identifier()), rank: random.below(Limits.worldSizeMax),
        number: random.below(Limits.segmentsPerRankMax))
    let header = SegmentHeader(name: name, store: StoreID(rawValue: random.identifier()))
    var blocks: [SegmentBlock] = []
    for _ in 0..<(seed % 3 == 0 ? 120 + random.below(20) : random.below(8)) {
        let codec = CodecIdentifier.allCases[random.below(3)]
        let stored = 1 + random.below(9000)
        blocks.append(
            SegmentBlock(
                offset: blocks.last?.paddedEnd ?? Limits.pageBytes, storedBytes: stored,
                rawBytes: codec == .raw ? stored : 1 + random.below(Limits.blockBytesMax), storedHash: random.next(),
                codec: codec))
    }
    let (index, tail) = SegmentIndex.encoded(blocks: blocks, digest: Hashing.digest)
    var bytes = header.encoded(digest: Hashing.digest)
    bytes += [UInt8](repeating: 0, count: index.indexOffset - bytes.count) + tail
    return (header, index, bytes)
}

@Suite("Segment structure", .timeLimit(.minutes(20)))
struct SegmentTests {
    @Test("Header, index and trailer read back as they were written", arguments: Seeds.first(60))
    func roundTrip(_ seed: UInt64) throws {
        let (header, index, bytes) = randomSegment(seed)
        let found = try structure(bytes)
        #expect(found.header == header && found.index == index)
        #expect(bytes.count == index.fileBytes && bytes.count % Limits.pageBytes == 0)
        // The fewest pages that hold the rows and the trailer.
        let needed = index.blocks.count * 32 + 64
        #expect(index.fileBytes - index.indexOffset - needed < Limits.pageBytes)
    }

    private static let small = randomSegment(2)

    @Test("Cut at any byte, it is refused")
    func truncation() throws {
        let bytes = Self.small.bytes
        #expect(!Self.small.index.blocks.isEmpty)
        #expect(try structure(bytes).index == Self.small.index)
        for count in 0..<bytes.count {
            let error = #expect(throws: FormatError.self, "cut at \(count)") { try end(bytes[..<count]) }
            #expect(error?.kind == .damage, "cut at \(count)")
        }
    }

    @Test("With a bit flipped anywhere in header, index or trailer it is refused")
    func flippedBits() {
        let structureBytes = Array(0..<4096) + Array(Self.small.index.indexOffset..<Self.small.bytes.count)
        for (count, index) in structureBytes.enumerated() {
            var bytes = Self.small.bytes
            bytes[index] ^= 1 << UInt8(count % 8)
            #expect(throws: FormatError.self, "byte \(index)") { try structure(bytes) }
        }
    }

    @Test("A header belongs to one name only")
    func names() {
        let header = Self.small.header
        func offset(_ change: (inout SegmentName) -> Void) -> Int? {
            var name = header.name
            change(&name)
            do {
                try header.check(isFor: name)
                return nil
            } catch { return error.offset }
        }
        #expect(offset { _ in } == nil)
        #expect(offset { $0.rank += 1 } == 12)
        #expect(offset { $0.number += 1 } == 16)
        #expect(offset { $0.attempt = .random() } == 40)
    }
}

@Suite("Store identity", .timeLimit(.minutes(20)))
struct StoreIdentityTests {
    @Test("store.json reads back as it was written", arguments: Seeds.first(20))
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        var identity = StoreIdentity(id: StoreID(rawValue: random.identifier()), created: random.below(.max))
        identity.optionalFeatures = (0..<random.below(4)).map { "feature-\($0)" }
        let bytes = identity.encoded(digest: Hashing.digest)
        #expect(try StoreIdentity(decoding: bytes[...], digest: Hashing.digest) == identity)
    }

    @Test("Cut anywhere, or with any bit flipped that is not space, it is refused")
    func damage() throws {
        let bytes = StoreIdentity(id: .random(), created: 17).encoded(digest: Hashing.digest)
        for count in 0..<bytes.count - 1 {
            #expect(throws: FormatError.self, "cut at \(count)") {
                try StoreIdentity(decoding: bytes[..<count], digest: Hashing.digest)
            }
        }
        for index in bytes.indices.dropLast() {
            for bit in UInt8(0)..<8 {
                var changed = bytes
                changed[index] ^= 1 << bit
                #expect(throws: FormatError.self, "byte \(index), bit \(bit)") {
                    try StoreIdentity(decoding: changed[...], digest: Hashing.digest)
                }
            }
        }
    }

    @Test("Required features that are not implemented are refused by name, known or not")
    func features() {
        for feature in RequiredFeature.allCases.filter({ !RequiredFeature.implemented.contains($0) }).map(\.name) + ["not-yet-known"] {
            var identity = StoreIdentity(id: .random(), created: 0)
            identity.requiredFeatures = [feature]
            let bytes = identity.encoded(digest: Hashing.digest)
            let error = #expect(throws: FormatError.self) {
                try StoreIdentity(decoding: bytes[...], digest: Hashing.digest)
            }
            #expect(error?.kind == .unsupported && error?.message.contains(feature) == true)
        }
    }
}

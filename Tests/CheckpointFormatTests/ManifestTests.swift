import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

func decoded(_ bytes: [UInt8]) throws(FormatError) -> Manifest {
    try Manifest(decoding: bytes[...], digest: Hashing.digest)
}

@Suite("Manifest", .timeLimit(.minutes(20)))
struct ManifestTests {
    @Test("A manifest reads back as it was written, byte for byte", arguments: Seeds.first(150))
    func roundTrip(_ seed: UInt64) throws {
        let manifest = RandomManifest.make(seed)
        let bytes = manifest.encoded(digest: Hashing.digest)
        let again = try decoded(bytes)
        #expect(again == manifest)
        #expect(again.encoded(digest: Hashing.digest) == bytes)
        #expect(Manifest.hash(ofEncoded: bytes) == Hashing.digest(bytes.dropLast(16)))
    }

    /// With one row of each kind, short enough to try every byte of it.
    private static let small: [UInt8] = {
        for seed in UInt64(1)... {
            let manifest = RandomManifest.make(seed)
            let bytes = manifest.encoded(digest: Hashing.digest)
            if !manifest.tensors.isEmpty, !manifest.objects.isEmpty, bytes.count < 2000 { return bytes }
        }
        return []
    }()

    @Test("Cut at any byte, it is damaged at its end")
    func truncation() throws {
        _ = try decoded(Self.small)
        for count in 0..<Self.small.count {
            let error = #expect(throws: FormatError.self) { try decoded(Array(Self.small[..<count])) }
            #expect(error?.kind == .damage && error?.offset == count, "cut at \(count): \(String(describing: error))")
        }
    }

    @Test("With any bit flipped it is refused")
    func flippedBits() {
        for index in Self.small.indices {
            for bit in UInt8(0)..<8 {
                var bytes = Self.small
                bytes[index] ^= 1 << bit
                let error = #expect(throws: FormatError.self) { try decoded(bytes) }
                // A greater version is somebody else's file; all else is damage.
                #expect(error?.kind == .damage || (8...9).contains(index), "byte \(index), bit \(bit)")
            }
        }
    }

    @Test("With any bit flipped and the hash made right again, it is refused or read, and never traps")
    func flippedBitsWithRightHash() {
        var accepted = 0
        for index in Self.small.indices.dropLast(16) {
            for bit in [UInt8(index % 8), UInt8((index + 3) % 8)] {
                var bytes = Self.small
                bytes[index] ^= 1 << bit
                bytes.replaceSubrange(
                    bytes.count - 16..<bytes.count, with: canonicalBytes(Hashing.digest(bytes.dropLast(16))))
                if (try? decoded(bytes)) != nil { accepted += 1 }
            }
        }
        // Hashes, names and numbers may be anything; the structure may not.
        #expect(accepted > 0 && accepted < Self.small.count * 2)
    }

    @Test("Rows of a table that is not there are refused", arguments: [(0, 1, 0), (0, 0, 1), (1, 0, 1)])
    func emptyTables(_ segments: Int, _ blocks: Int, _ chunks: Int) {
        var manifest = RandomManifest.make(1)
        (manifest.tensors, manifest.objects) = ([], [])
        manifest.segments = Array(manifest.segments.prefix(segments))
        manifest.blocks = Array(manifest.blocks.prefix(blocks))
        let chunk = ChunkRecord(hash: Hash128(rawValue: 1), block: 0, offset: 0, bytes: 1, epoch: 0)
        manifest.chunks = [ChunkRecord](repeating: chunk, count: chunks)
        let bytes = manifest.encoded(digest: Hashing.digest)
        let error = #expect(throws: FormatError.self) { try decoded(bytes) }
        #expect(error?.kind == .damage)
    }

    @Test("Metrics that JSON cannot say survive")
    func metrics() throws {
        var manifest = Manifest(
            id: .random(), store: .random(), run: .random(), runName: "", step: 0, created: 0, writer: "")
        let values = [Double.nan, .infinity, -.infinity, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 1e23]
        manifest.metrics = values.enumerated().map { .init(name: "m\($0.offset)", value: $0.element) }
        let found = try decoded(manifest.encoded(digest: Hashing.digest)).metrics.map(\.value)
        #expect(found[0].isNaN)
        #expect(found.dropFirst().map(\.bitPattern) == values.dropFirst().map(\.bitPattern))
    }

    @Test("Names that Unicode holds to be equivalent are different names")
    func equivalentNames() throws {
        var manifest = RandomManifest.make(3)
        manifest.tensors = ["caf\u{E9}", "cafe\u{301}"].map {
            TensorRecord(name: $0, type: .f32, shape: [0], role: .other, group: 0, shards: [])
        }
        #expect(try decoded(manifest.encoded(digest: Hashing.digest)).tensors.count == 2)
        manifest.tensors.append(manifest.tensors[0])
        #expect(throws: FormatError.self) { try decoded(manifest.encoded(digest: Hashing.digest)) }
    }
}

/// A hash as it lies on disk.
func canonicalBytes(_ hash: Hash128) -> [UInt8] {
    var writer = ByteWriter()
    writer.identifier(hash)
    return writer.bytes
}

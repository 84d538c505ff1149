import CheckpointCodecs
import CheckpointFormat
import Testing

/// Encodes structures whose fields have values that can be told apart, and looks for them where the tables say.
@Suite("Structures and their tables", .timeLimit(.minutes(20)))
struct StructureTests {
    private static let structures = [
        ("SegmentHeader", "segment.md", Limits.pageBytes), ("SegmentIndexRow", "segment.md", SegmentBlock.rowBytes),
        ("SegmentTrailer", "segment.md", SegmentIndex.trailerBytes),
        ("ManifestHeader", "manifest.md", ManifestHeader.bytes),
        ("ManifestSegmentRow", "manifest.md", SegmentReference.rowBytes),
        ("ManifestBlockRow", "manifest.md", BlockRecord.rowBytes),
        ("ManifestChunkRow", "manifest.md", ChunkRecord.rowBytes),
        ("PartIndexRow", "manifest.md", PartIndexRow.bytes),
    ]

    @Test("Offsets and sizes add up without holes to the size in the code", arguments: structures)
    func sizes(_ name: String, _ file: String, _ bytes: Int) throws {
        var end = 0
        for field in try SpecificationTable(name, in: file).fields() {
            #expect(field.offset == end, "\(name).\(field.name)")
            let width = ["uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8, "id": 16, "hash128": 16, "hash64": 8]
            if field.type != "bytes" { #expect(field.size == width[field.type], "\(name).\(field.name)") }
            end = field.offset + field.size
        }
        #expect(end == bytes)
    }

    /// Compares the fields of an encoded structure with values in little-endian order; fields not given must be zero.
    private func compare(_ name: String, _ file: String, _ bytes: ArraySlice<UInt8>, _ values: [String: [UInt8]]) throws
    {
        let fields = try SpecificationTable(name, in: file).fields()
        #expect(Set(values.keys).isSubset(of: fields.map(\.name)), "\(name)")
        for field in fields {
            let start = bytes.startIndex + field.offset
            let zeros = [UInt8](repeating: 0, count: field.size)
            #expect(
                Array(bytes[start..<start + field.size]) == values[field.name, default: zeros], "\(name).\(field.name)")
        }
    }

    private func number<T: FixedWidthInteger & UnsignedInteger>(_ value: T) -> [UInt8] {
        (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
    }

    /// 16 bytes counting up from `first`, as an id and as they should lie on disk.
    private func identifier<I: Identifier>(_ first: UInt8, _: I.Type = I.self) -> (id: I, bytes: [UInt8]) {
        let bytes = (0..<16).map { first + UInt8($0) }
        return (I(rawValue: bytes.reduce(0) { $0 << 8 | UInt128($1) }), bytes)
    }

    private let page = Limits.pageBytes

    @Test("Segment: header, index row, trailer")
    func segment() throws {
        let (attempt, store) = (identifier(0x10, CheckpointID.self), identifier(0x30, StoreID.self))
        let name = SegmentName(attempt: attempt.id, rank: 0x1234, number: 0x15678)
        let header = SegmentHeader(name: name, store: store.id).encoded(digest: Hashing.digest)
        try compare(
            "SegmentHeader", "segment.md", header[...],
            [
                "magic": Array("CKPTSEGM".utf8), "version": [1, 0], "rank": number(UInt32(0x1234)),
                "number": number(UInt32(0x15678)), "store": store.bytes, "attempt": attempt.bytes,
                "hash": Hashing.digest(header[..<4080]).bytes,
            ])
        let block = SegmentBlock(
            offset: 4096, storedBytes: 0x1_2345, rawBytes: 0x23_4567, storedHash: 0x8877_6655_4433_2211, codec: .zstd)
        let (index, bytes) = SegmentIndex.encoded(blocks: [block], digest: Hashing.digest)
        try compare(
            "SegmentIndexRow", "segment.md", bytes[..<32],
            [
                "offset": number(UInt64(4096)), "storedBytes": number(UInt32(0x1_2345)),
                "rawBytes": number(UInt32(0x23_4567)), "storedHash": number(block.storedHash), "codec": [2],
            ])
        #expect(bytes[32..<page - 64].allSatisfy { $0 == 0 })
        try compare(
            "SegmentTrailer", "segment.md", bytes.suffix(64),
            [
                "magic": Array("CKPTSEGE".utf8), "version": [1, 0], "blockCount": number(UInt32(1)),
                "indexOffset": number(UInt64(index.indexOffset)), "fileBytes": number(UInt64(index.indexOffset + page)),
                "hash": Hashing.digest(bytes.dropLast(16)).bytes,
            ])
        #expect(index.indexOffset == 4096 + 0x1_3000)
    }

    /// One row of each table; the block is large enough for offsets that fill several bytes.
    private func manifest() -> (manifest: Manifest, attempt: [UInt8], trailer: [UInt8], chunk: [UInt8]) {
        let (attempt, trailer) = (identifier(0x50, CheckpointID.self), identifier(0x70, Hash128.self))
        let chunk = identifier(0x90, Hash128.self)
        var manifest = Manifest(
            id: attempt.id, store: identifier(0x30).id, run: identifier(0xB0).id, runName: "r", step: 3, created: 5,
            writer: "w")
        let name = SegmentName(attempt: attempt.id, rank: 0x1234, number: 0x15678)
        let files = 3
        for _ in 0..<files {
            manifest.segments.append(SegmentReference(name: name, fileBytes: 0x12_3456_7000, trailerHash: trailer.id))
        }
        let location = SegmentBlock(
            offset: 0x11_2233_4000, storedBytes: 0x12345, rawBytes: 0x234567, storedHash: 0x8877_6655_4433_2211,
            codec: .lz4)
        for _ in 0..<4 { manifest.blocks.append(BlockRecord(segment: 2, location: location)) }
        let row = ChunkRecord(hash: chunk.id, block: 3, offset: 0x1_0203, bytes: 0x4_0506, epoch: 0xA1B2_C3D4)
        manifest.chunks = [row, row, row, row, row]
        return (manifest, attempt.bytes, trailer.bytes, chunk.bytes)
    }

    @Test("Index of shards: a row")
    func partIndexRow() throws {
        let row = PartIndexRow(
            first: 0x11_2233_4455, last: 0x66_7788_99AA, tensor: 0x0102_0304, rank: 0x1_0506,
            record: 0x0708_090A, shard: 0x1_0B0C)
        let (_, bytes) = PartIndex.encoded([row], digest: Hashing.digest)
        try compare(
            "PartIndexRow", "manifest.md", bytes[...],
            [
                "first": number(UInt64(row.first)), "last": number(UInt64(row.last)),
                "tensor": number(UInt32(row.tensor)), "rank": number(UInt32(row.rank)),
                "record": number(UInt32(row.record)), "shard": number(UInt32(row.shard)),
            ])
    }

    @Test("Manifest: header and rows")
    func manifestRows() throws {
        let (manifest, attempt, trailer, chunk) = manifest()
        let bytes = manifest.encoded(digest: Hashing.digest)
        let text = bytes[64...].prefix { $0 != 0 }
        let tables = (64 + text.count + 7) / 8 * 8
        try compare(
            "ManifestHeader", "manifest.md", bytes[..<64],
            [
                "magic": Array("CKPTMANI".utf8), "version": [1, 0], "jsonBytes": number(UInt32(text.count)),
                "segmentCount": number(UInt32(3)), "blockCount": number(UInt32(4)), "chunkCount": number(UInt32(5)),
                "fileBytes": number(UInt64(tables + 3 * 48 + 4 * 40 + 5 * 32 + 16)),
            ])
        try compare(
            "ManifestSegmentRow", "manifest.md", bytes[tables...],
            [
                "attempt": attempt, "rank": number(UInt32(0x1234)), "number": number(UInt32(0x15678)),
                "fileBytes": number(UInt64(0x12_3456_7000)), "trailerHash": trailer,
            ])
        try compare(
            "ManifestBlockRow", "manifest.md", bytes[(tables + 3 * 48)...],
            [
                "segment": number(UInt32(2)), "codec": [1], "offset": number(UInt64(0x11_2233_4000)),
                "storedBytes": number(UInt32(0x12345)), "rawBytes": number(UInt32(0x234567)),
                "storedHash": number(UInt64(0x8877_6655_4433_2211)), "base": [0xFF, 0xFF, 0xFF, 0xFF],
            ])
        try compare(
            "ManifestChunkRow", "manifest.md", bytes[(tables + 3 * 48 + 4 * 40)...],
            [
                "hash": chunk, "block": number(UInt32(3)), "offset": number(UInt32(0x1_0203)),
                "bytes": number(UInt32(0x4_0506)), "epoch": number(UInt32(0xA1B2_C3D4)),
            ])
        #expect(Array(bytes.suffix(16)) == Hashing.digest(bytes.dropLast(16)).bytes)
        var part = manifest
        part.kind = .part
        #expect(part.encoded(digest: Hashing.digest)[10] == 1)
    }
}

extension Hash128 {
    /// The canonical form.
    fileprivate var bytes: [UInt8] { (0..<16).map { UInt8(truncatingIfNeeded: rawValue >> UInt128(120 - 8 * $0)) } }
}

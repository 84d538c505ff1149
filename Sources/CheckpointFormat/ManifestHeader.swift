/// The fixed-size header of a manifest (Formats/manifest.md, Header).
package struct ManifestHeader: Equatable, Sendable {
    package static let bytes = 64
    package static let version: UInt16 = 1

    package var kind: Manifest.Kind
    package var features: Set<RequiredFeature>
    package var jsonBytes: Int
    package var segmentCount: Int
    package var blockCount: Int
    package var chunkCount: Int

    package var tablesOffset: Int { (Self.bytes + jsonBytes + 7) / 8 * 8 }
    package var fileBytes: Int {
        tablesOffset + segmentCount * SegmentReference.rowBytes + blockCount * BlockRecord.rowBytes
            + chunkCount * ChunkRecord.rowBytes + 16
    }

    func encode(to writer: inout ByteWriter) {
        writer.magic("CKPTMANI")
        writer.integer(Self.version)
        writer.integer(kind.rawValue)
        writer.zeros(1)
        writer.integer(features.reduce(UInt32(0)) { $0 | $1.bit })
        writer.integer(UInt32(0))
        writer.count(UInt32.self, jsonBytes)
        writer.count(UInt32.self, segmentCount)
        writer.count(UInt32.self, blockCount)
        writer.count(UInt32.self, chunkCount)
        writer.zeros(4)
        writer.count(UInt64.self, fileBytes)
        writer.zeros(16)
    }

    /// Decodes the header and checks every field against its limit and the file's length.
    ///
    /// - Parameters:
    ///   - reader: The reader, at the start of the file.
    ///   - actual: Length of the file in bytes.
    ///   - verify: Checks the hash of the file. It runs after the length is known to be right and
    ///     before any other field is used, even the version, so that a flipped version is reported
    ///     as damage and not as a file from a newer version.
    /// - Throws: Damage or unsupported, at the field.
    init(from reader: inout ByteReader, fileBytes actual: Int, verify: () throws(FormatError) -> Void) throws(FormatError) {
        try reader.expect(magic: "CKPTMANI")
        guard actual >= Self.bytes + 16 else { throw .damage(at: actual, "truncated: \(actual) bytes are too few for a manifest") }
        try Self.checkLength(after: reader, actual: actual)
        try verify()
        _ = try reader.version(upTo: Self.version, of: "manifest")
        guard let kind = Manifest.Kind(rawValue: try reader.integer(UInt8.self)) else {
            throw .damage(at: 10, "kind is neither checkpoint nor part")
        }
        self.kind = kind
        try reader.expectZeros(1, "reserved0")
        features = try RequiredFeature.features(bits: try reader.integer(UInt32.self), at: 12)
        _ = try reader.integer(UInt32.self)
        jsonBytes = try reader.count(UInt32.self, atMost: Limits.manifestJSONBytesMax, "jsonBytes")
        segmentCount = try reader.count(UInt32.self, atMost: Limits.segmentsPerManifestMax, "segmentCount")
        blockCount = try reader.count(UInt32.self, atMost: Limits.blocksPerManifestMax, "blockCount")
        chunkCount = try reader.count(UInt32.self, atMost: Limits.chunksPerManifestMax, "chunkCount")
        try reader.expectZeros(4, "reserved1")
        _ = try reader.integer(UInt64.self)
        guard jsonBytes >= 2 else { throw .damage(at: 20, "jsonBytes is \(jsonBytes), less than 2") }
        guard fileBytes == actual else { throw .damage(at: 40, "its parts have \(fileBytes) bytes in total, the file \(actual)") }
        try reader.expectZeros(16, "reserved2")
    }

    /// Compares `fileBytes` with the file's length. `reader` is positioned after the magic number.
    private static func checkLength(after reader: ByteReader, actual: Int) throws(FormatError) {
        var reader = reader
        _ = try reader.take(32)
        let stated = try reader.count(UInt64.self, atMost: Limits.manifestBytesMax, "fileBytes")
        guard stated != actual else { return }
        let offset = stated > actual ? actual : 40
        throw .damage(at: offset, "the file has \(actual) bytes, not \(stated)")
    }

    init(kind: Manifest.Kind, features: Set<RequiredFeature>, jsonBytes: Int, segmentCount: Int, blockCount: Int, chunkCount: Int) {
        self.kind = kind
        self.features = features
        self.jsonBytes = jsonBytes
        self.segmentCount = segmentCount
        self.blockCount = blockCount
        self.chunkCount = chunkCount
    }
}

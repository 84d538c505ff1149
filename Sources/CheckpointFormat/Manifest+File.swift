extension Manifest {
    /// Encodes the manifest as a file.
    ///
    /// - Parameter digest: The hash function.
    /// - Returns: The bytes of the file; the last 16 are the hash of all bytes before them.
    package func encoded(digest: Digest) -> [UInt8] {
        let json = directoryText
        let header = ManifestHeader(
            kind: kind, features: features, jsonBytes: json.count, segmentCount: segments.count, blockCount: blocks.count,
            chunkCount: chunks.count)
        var writer = ByteWriter(capacity: header.fileBytes)
        header.encode(to: &writer)
        writer.append(json)
        writer.pad(to: 8)
        for segment in segments { segment.encode(to: &writer) }
        for block in blocks { block.encode(to: &writer) }
        for chunk in chunks { chunk.encode(to: &writer) }
        writer.identifier(digest(writer.bytes[...]))
        return writer.bytes
    }

    /// The features that a reader must support to read this manifest.
    package var features: Set<RequiredFeature> {
        var features: Set<RequiredFeature> = []
        if blocks.contains(where: { $0.codec == .delta }) { features.insert(.delta) }
        if blocks.contains(where: \.codec.isCast) { features.insert(.cast) }
        if tensors.contains(where: \.type.needsFeature) { features.insert(.types) }
        if tensors.contains(where: { $0.shards.contains { $0.region.box == nil } }) {
            features.insert(.pieces)
        }
        if root != nil { features.insert(.parts) }
        return features
    }

    /// Decodes a manifest file and checks every rule that can be checked without reading a segment.
    ///
    /// - Parameters:
    ///   - bytes: The complete file.
    ///   - digest: The hash function.
    /// - Throws: Damage or unsupported, with the offset in the file.
    package init(decoding bytes: ArraySlice<UInt8>, digest: Digest) throws(FormatError) {
        let (header, json, tables) = try Tables.decode(bytes, digest: digest)
        let directory = try JSONParser.parse(json, origin: ManifestHeader.bytes)
        try self.init(directory: directory, header: header, chunks: tables.chunks)
        segments = tables.segments
        blocks = tables.blocks
        chunks = tables.chunks
    }

    /// The hash and the tables of a manifest, which are all that the engine needs. They are much
    /// quicker to decode than the JSON part.
    package struct Tables: Sendable {
        package var hash: Hash128
        package var segments: [SegmentReference] = []
        package var blocks: [BlockRecord] = []
        package var chunks: [ChunkRecord] = []

        /// Decodes a manifest file without its JSON part.
        ///
        /// - Parameters:
        ///   - bytes: The complete file.
        ///   - digest: The hash function.
        /// - Throws: Damage or unsupported, with the offset in the file.
        package init(decoding bytes: ArraySlice<UInt8>, digest: Digest) throws(FormatError) {
            self = try Self.decode(bytes, digest: digest).tables
        }

        /// Decodes the features and tables of a manifest file.
        ///
        /// - Parameters:
        ///   - bytes: The complete file.
        ///   - digest: The hash function.
        /// - Throws: Damage or unsupported, with the offset in the file.
        package static func decoded(
            _ bytes: ArraySlice<UInt8>, digest: Digest
        ) throws(FormatError) -> (features: Set<RequiredFeature>, tables: Tables) {
            let (header, _, tables) = try decode(bytes, digest: digest)
            return (header.features, tables)
        }

        /// Takes the tables of a decoded manifest.
        ///
        /// - Parameters:
        ///   - manifest: The manifest.
        ///   - hash: The hash at the end of its file.
        package init(_ manifest: Manifest, hash: Hash128) {
            self.hash = hash
            segments = manifest.segments
            blocks = manifest.blocks
            chunks = manifest.chunks
        }

        static func decode(
            _ bytes: ArraySlice<UInt8>, digest: Digest
        ) throws(FormatError) -> (header: ManifestHeader, json: ArraySlice<UInt8>, tables: Tables) {
            var reader = ByteReader(bytes)
            let header = try ManifestHeader(from: &reader, fileBytes: bytes.count) { () throws(FormatError) in
                try Manifest.checkHash(bytes, digest: digest)
            }
            let json = try reader.take(header.jsonBytes)
            try reader.expectZeros(header.tablesOffset - reader.offset, "padding after the JSON text")
            return (header, json, try Tables(header, &reader, hash: Manifest.hash(ofEncoded: bytes)))
        }

        private init(_ header: ManifestHeader, _ reader: inout ByteReader, hash: Hash128) throws(FormatError) {
            self.hash = hash
            for _ in 0..<header.segmentCount { segments.append(try SegmentReference(from: &reader)) }
            for _ in 0..<header.blockCount {
                blocks.append(try BlockRecord(from: &reader, segments: segments, before: blocks, features: header.features))
            }
            for _ in 0..<header.chunkCount { chunks.append(try ChunkRecord(from: &reader, blocks: blocks)) }
        }
    }

    private static func checkHash(_ bytes: ArraySlice<UInt8>, digest: Digest) throws(FormatError) {
        var reader = ByteReader(bytes.suffix(16), origin: bytes.count - 16)
        guard try reader.identifier(Hash128.self) == digest(bytes.dropLast(16)) else {
            throw .damage(at: bytes.count - 16, "the manifest does not match its hash: it was truncated or changed")
        }
    }

    /// End of the id at the beginning of the JSON part, in manifests that this software writes.
    package static var idEnd: Int { ManifestHeader.bytes + idKey.count + 32 }
    private static let idKey = Array("{\"id\":\"".utf8)

    /// Returns the id that an encoded manifest begins with.
    ///
    /// - Parameter bytes: The first `idEnd` bytes of the file.
    /// - Returns: The id; nil if these are no manifest's, or its id is elsewhere.
    package static func id(atBeginningOf bytes: [UInt8]) -> CheckpointID? {
        guard bytes.count == idEnd, bytes.starts(with: "CKPTMANI".utf8),
            bytes[ManifestHeader.bytes...].starts(with: idKey)
        else { return nil }
        return CheckpointID(String(decoding: bytes.suffix(32), as: UTF8.self))
    }

    /// Returns the last 16 bytes of an encoded manifest: the hash that identifies it.
    ///
    /// - Parameter bytes: The complete file.
    package static func hash(ofEncoded bytes: some BidirectionalCollection<UInt8>) -> Hash128 {
        Hash128(rawValue: bytes.suffix(16).reduce(0) { $0 << 8 | UInt128($1) })
    }
}

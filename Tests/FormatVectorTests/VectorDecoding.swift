import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointTestSupport

/// What the Swift decoders make of a vector, in the shape of its `expect`.
enum VectorDecoding {
    static func manifest(_ bytes: [UInt8]) throws -> JSONValue {
        let manifest = try Manifest(decoding: bytes[...], digest: Hashing.digest)
        return .object([
            .init("id", .hex(manifest.id)), .init("run", .hex(manifest.run)), .init("step", .count(manifest.step)),
            .init("metrics", .object(manifest.metrics.map { .init($0.name, .metric($0.value)) })),
            .init("segments", .array(manifest.segments.map(row))), .init("blocks", .array(manifest.blocks.map(row))),
            .init("chunks", .array(manifest.chunks.map(row))), .init("tensors", .array(manifest.tensors.map(row))),
            .init("objects", .array(manifest.objects.map(row))),
        ] + (manifest.recordedOrigin.map { [.init("origin", origin($0))] } ?? [])
            + (manifest.transferCheck.map { [.init("transfer_check", .string($0))] } ?? []))
    }

    private static func origin(_ origin: CheckpointOrigin) -> JSONValue {
        .object([
            .init("kind", .string(origin.kind.rawValue)), .init("store", .hex(origin.store)), .init("run", .hex(origin.run)),
            .init("branch", .hex(origin.branch)), .init("restart", .count(origin.restart)),
        ])
    }

    static let manifestKeys = [
        "id", "run", "step", "metrics", "segments", "blocks", "chunks", "tensors", "objects",
    ]

    private static func row(_ segment: SegmentReference) -> JSONValue {
        .object([
            .init("attempt", .hex(segment.name.attempt)), .init("rank", .count(segment.name.rank)),
            .init("number", .count(segment.name.number)), .init("fileBytes", .count(segment.fileBytes)),
            .init("trailerHash", .hex(segment.trailerHash)),
        ])
    }

    private static func row(_ block: BlockRecord) -> JSONValue {
        .object([
            .init("segment", .count(block.segment)), .init("codec", .count(Int(block.codec.rawValue))),
            .init("offset", .count(block.offset)), .init("storedBytes", .count(block.storedBytes)),
            .init("rawBytes", .count(block.rawBytes)), .init("storedHash", hexadecimal(block.storedHash)),
            .init("base", .count(block.base ?? Int(BlockRecord.noBase))),
        ])
    }

    private static func row(_ chunk: ChunkRecord) -> JSONValue {
        .object([
            .init("hash", .hex(chunk.hash)), .init("block", .count(chunk.block)), .init("offset", .count(chunk.offset)),
            .init("bytes", .count(chunk.bytes)), .init("epoch", .count(Int(chunk.epoch))),
        ])
    }

    private static func row(_ tensor: TensorRecord) -> JSONValue {
        .object([
            .init("name", .string(tensor.name)), .init("type", .string(tensor.type.rawValue)),
            .init("shape", .counts(tensor.shape)),
        ])
    }

    private static func row(_ object: ObjectRecord) -> JSONValue {
        .object([
            .init("name", .string(object.name)), .init("role", .string(object.role.rawValue)),
            .init("encoding", .string(object.encoding.rawValue)), .init("bytes", .count(object.bytes)),
        ])
    }

    /// Runs the whole verifier over the bytes, put in a store under the name `file`. The first finding is thrown.
    static func segment(_ bytes: [UInt8], file: String) throws -> JSONValue {
        guard let name = SegmentName(file) else { throw VectorError("\(file) is no segment's name") }
        let store = try TemporaryStore()
        try store.put(bytes, at: store.directories.path(of: name))
        var first: SegmentError?
        let verifier = SegmentVerifier(fileSystem: store.fileSystem, directories: store.directories)
        let index = try verifier.check(name) { if first == nil { first = $0 } }
        if let first { throw first }
        let header = try SegmentHeader(decoding: bytes[...], digest: Hashing.digest)
        return .object([
            .init("rank", .count(header.name.rank)), .init("number", .count(header.name.number)),
            .init("attempt", .hex(header.name.attempt)), .init("store", .hex(header.store)),
            .init("fileBytes", .count(index.fileBytes)), .init("trailerHash", .hex(index.trailerHash)),
            .init("blocks", .array(index.blocks.map(row))),
        ])
    }

    static let segmentKeys = ["rank", "number", "attempt", "store", "fileBytes", "trailerHash", "blocks"]

    private static func row(_ block: SegmentBlock) -> JSONValue {
        .object([
            .init("offset", .count(block.offset)), .init("storedBytes", .count(block.storedBytes)),
            .init("rawBytes", .count(block.rawBytes)), .init("storedHash", hexadecimal(block.storedHash)),
            .init("codec", .count(Int(block.codec.rawValue))),
        ])
    }

    /// The store's identity as this software would write it, check included.
    static func store(_ bytes: [UInt8]) throws -> JSONValue {
        let identity = try StoreIdentity(decoding: bytes[...], digest: Hashing.digest)
        return try JSONParser.parse(identity.encoded(digest: Hashing.digest)[...])
    }

    static let storeKeys = [
        "format", "version", "id", "created_ms", "required_features", "optional_features", "check",
    ]

    /// The hash of a block's raw bytes.
    static func block(_ bytes: [UInt8], _ about: JSONFields) throws -> Hash128 {
        guard let codec = CodecIdentifier(rawValue: UInt8(try about.count("codec", atMost: 255))) else {
            throw VectorError("no such codec")
        }
        let raw = try OwnedBytes(zeros: try about.count("rawBytes"))
        let stored = try OwnedBytes(bytes)
        if let base = try base(about), codec.isCast {
            guard stored.region.count == 0, base.region.count == 2 * raw.region.count else { throw CodecError(codec, "no cast") }
            CastCodec.decode(codec, base.region, into: raw.region)
        } else if let base = try base(about) {
            try DeltaCodec().decode(stored.region, base: base.region, into: raw.region)
        } else {
            try CodecRegistry.decode(codec, stored.region, into: raw.region)
        }
        return raw.region.hash128
    }

    /// The base of a delta, which stands in the JSON.
    private static func base(_ about: JSONFields) throws -> OwnedBytes? {
        guard about.has("base") else { return nil }
        let digits = Array(try about.string("base").utf8)
        return try OwnedBytes(stride(from: 0, to: digits.count, by: 2).map { index in
            UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16) ?? 0
        })
    }
}

/// A vector that is not what its README says.
struct VectorError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// A shard of a tensor in a manifest, and its chunks (Formats/manifest.md, JSON).
package struct ShardRecord: Equatable, Sendable {
    package var region: ShardRegion
    /// Rows of the chunk table that hold the shard, in order.
    package var chunks: Range<Int>
    /// Other ranks whose memory held the same elements when they were saved, ascending.
    package var replicas: [Int]

    package init(region: ShardRegion, chunks: Range<Int>, replicas: [Int] = []) {
        self.region = region
        self.chunks = chunks
        self.replicas = replicas
    }

    /// Creates the record of a box.
    package init(descriptor: ShardDescriptor, chunks: Range<Int>) {
        self.init(region: .box(descriptor), chunks: chunks)
    }
}

extension ShardRecord {
    var json: JSONValue {
        let replicas: [JSONValue.Member] =
            replicas.isEmpty ? [] : [.init("replicas", .counts(replicas))]
        return .object(
            region.json + [
                .init("first", .count(chunks.lowerBound)), .init("count", .count(chunks.count)),
            ] + replicas)
    }

    /// Decodes a shard and checks everything that does not concern other shards.
    ///
    /// - Parameters:
    ///   - value: The JSON object.
    ///   - tensor: The tensor, without its shards.
    ///   - epoch: Epoch of the tensor's group.
    ///   - table: The chunk table.
    ///   - head: Properties of the manifest.
    ///   - offset: Offset in the file of the JSON text.
    /// - Throws: Damage if a rule is broken.
    init(
        _ value: JSONValue, of tensor: TensorRecord, epoch: UInt32, chunks table: [ChunkRecord],
        head: ManifestHead, offset: Int
    ) throws(FormatError) {
        let fields = try JSONFields(value, "shard", offset: offset)
        chunks = try fields.chunkRange(in: table)
        region = try ShardRegion(fields, of: tensor, offset: offset)
        guard region.box != nil || head.features.contains(.pieces) else {
            throw fields.error("pieces are present without feature pieces")
        }
        replicas = try Self.replicas(fields, head)
        let bytes = table[chunks].totalBytes
        guard TensorShape.byteCount([region.elementCount], tensor.type) == bytes else {
            throw fields.error(
                "its \(region.elementCount) elements do not fit the \(bytes) bytes of its chunks")
        }
        guard table[chunks].allSatisfy({ $0.epoch == epoch }) else {
            throw fields.error("a chunk does not have the epoch \(epoch) of its group")
        }
        if case .pieces = region {
            let width = tensor.type.width
            guard table[chunks].allSatisfy({ $0.bytes % width == 0 }) else {
                throw fields.error("a chunk of its pieces ends inside an element")
            }
        }
    }

    private static func replicas(
        _ fields: JSONFields, _ head: ManifestHead
    ) throws(FormatError) -> [Int] {
        guard fields.has("replicas") else { return [] }
        let replicas = try fields.counts("replicas", atMost: Limits.worldSizeMax)
        guard zip(replicas, replicas.dropFirst()).allSatisfy({ $0 < $1 }),
            replicas.last ?? 0 < head.worldSize, !replicas.contains(head.rank)
        else {
            throw fields.error("replicas are not other ranks of \(head.worldSize) in ascending order")
        }
        return replicas
    }
}

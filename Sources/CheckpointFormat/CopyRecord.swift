/// Elements of a tensor that a rank holds and another rank saves, in the part of the first
/// (Formats/manifest.md, JSON). Their hashes show whether the two ranks hold the same.
package struct CopyRecord: Equatable, Sendable {
    /// Size and hash of consecutive bytes, cut as those of a shard.
    package struct Chunk: Hashable, Sendable {
        package var bytes: Int
        package var hash: Hash128

        package init(bytes: Int, hash: Hash128) {
            self.bytes = bytes
            self.hash = hash
        }
    }

    package var region: ShardRegion
    /// The chunks, in the order of the elements.
    package var chunks: [Chunk]

    package init(region: ShardRegion, chunks: [Chunk]) {
        self.region = region
        self.chunks = chunks
    }
}

extension CopyRecord {
    var json: JSONValue {
        .object(
            region.json + [
                .init("bytes", .counts(chunks.map(\.bytes))),
                .init("hashes", .array(chunks.map { .hex($0.hash) })),
            ])
    }

    /// Decodes a copy and checks everything that does not concern the tensor's shape.
    ///
    /// - Parameters:
    ///   - value: The JSON object.
    ///   - tensor: The tensor, without its copies.
    ///   - offset: Offset in the file of the JSON text.
    /// - Throws: Damage if a rule is broken.
    init(_ value: JSONValue, of tensor: TensorRecord, offset: Int) throws(FormatError) {
        let fields = try JSONFields(value, "copy", offset: offset)
        region = try ShardRegion(fields, of: tensor, offset: offset)
        let sizes = try fields.counts("bytes", atMost: Limits.chunksPerManifestMax)
        let hashes = try fields.strings("hashes", atMost: sizes.count).compactMap { Hash128($0) }
        guard sizes.count == hashes.count,
            sizes.allSatisfy({ (1...Limits.blockBytesMax).contains($0) }),
            TensorShape.byteCount([region.elementCount], tensor.type) == sizes.reduce(0, +)
        else {
            throw fields.error(
                "its \(region.elementCount) elements do not fit its \(sizes.count) sizes and"
                    + " \(hashes.count) hashes of chunks")
        }
        chunks = zip(sizes, hashes).map { Chunk(bytes: $0, hash: $1) }
    }
}

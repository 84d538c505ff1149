/// A row of the index of a checkpoint of several ranks: where a shard of a tensor is
/// (Formats/manifest.md, Index of shards).
package struct PartIndexRow: Hashable, Sendable, Comparable {
    package static let bytes = 32

    /// Position in the tensor of the shard's first element.
    package var first: Int
    /// Position in the tensor of the shard's last element.
    package var last: Int
    /// Row of the tensor in the manifest.
    package var tensor: Int
    /// The rank whose part has the shard.
    package var rank: Int
    /// Row of the tensor in the part.
    package var record: Int
    /// Number of the shard in that row.
    package var shard: Int

    package init(first: Int, last: Int, tensor: Int, rank: Int, record: Int, shard: Int) {
        (self.first, self.last, self.tensor) = (first, last, tensor)
        (self.rank, self.record, self.shard) = (rank, record, shard)
    }

    package static func < (a: PartIndexRow, b: PartIndexRow) -> Bool {
        (a.tensor, a.first, a.rank, a.record, a.shard)
            < (b.tensor, b.first, b.rank, b.record, b.shard)
    }

    func encode(to writer: inout ByteWriter) {
        writer.count(UInt64.self, first)
        writer.count(UInt64.self, last)
        writer.count(UInt32.self, tensor)
        writer.count(UInt32.self, rank)
        writer.count(UInt32.self, record)
        writer.count(UInt32.self, shard)
    }

    init(from reader: inout ByteReader, worldSize: Int, tensors: Int) throws(FormatError) {
        first = try reader.count(UInt64.self, atMost: .max, "first")
        let start = reader.offset
        last = try reader.count(UInt64.self, atMost: .max, "last")
        guard last >= first else { throw .damage(at: start, "its last element \(last) is before its first, \(first)") }
        tensor = try reader.count(UInt32.self, atMost: tensors - 1, "tensor")
        rank = try reader.count(UInt32.self, atMost: worldSize - 1, "rank")
        record = try reader.count(UInt32.self, atMost: Limits.tensorsPerManifestMax - 1, "record")
        shard = try reader.count(UInt32.self, atMost: Limits.worldSizeMax - 1, "shard")
    }
}

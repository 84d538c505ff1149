/// A tensor in a manifest (Formats/manifest.md, JSON).
package struct TensorRecord: Equatable, Sendable {
    package var name: String
    package var type: ElementType
    package var shape: [Int]
    package var role: TensorRole
    /// Index into the manifest's groups.
    package var group: Int
    package var shards: [ShardRecord]
    /// In a part, the elements that the rank holds and another one saves.
    package var copies: [CopyRecord] = []

    package init(
        name: String, type: ElementType, shape: [Int], role: TensorRole, group: Int,
        shards: [ShardRecord]
    ) {
        self.name = name
        self.type = type
        self.shape = shape
        self.role = role
        self.group = group
        self.shards = shards
    }

    /// Size of the full tensor in bytes. The shape is valid, because it was checked when the record
    /// was made or decoded.
    package var bytes: Int { TensorShape.byteCount(shape, type) ?? 0 }

    /// True if the chunks of the tensor are its row-major bytes: it has one shard, which is a box,
    /// or none.
    package var isInOrder: Bool { shards.count <= 1 && shards.allSatisfy { $0.region.box != nil } }
}

package import CheckpointFormat

/// How a checkpoint is divided among safetensors files: pure arithmetic over names, types and shapes.
package struct SafetensorsLayout: Sendable {
    package typealias Tensor = (name: String, type: ElementType, shape: [Int])

    package struct Shard: Sendable {
        package var fileName: String
        package var header: SafetensorsHeader
    }

    package private(set) var shards: [Shard] = []
    /// Bytes of all tensors.
    package let bytes: Int

    package static let indexName = "model.safetensors.index.json"

    /// One file.
    package init(file: String, _ tensors: [Tensor], metadata: [(name: String, value: String)]) {
        shards = [Shard(fileName: file, header: SafetensorsHeader(of: tensors, metadata: metadata))]
        bytes = Self.bytes(tensors)
    }

    /// Several files, filled in order: each has at most `shardBytesMax` bytes of tensors, unless it holds a single one that is larger.
    package init(_ tensors: [Tensor], shardBytesMax: Int, metadata: [(name: String, value: String)]) {
        var groups: [[Tensor]] = [[]]
        var room = shardBytesMax
        for tensor in tensors {
            let bytes = Self.bytes([tensor])
            if bytes > room, groups[groups.count - 1].count > 0 {
                groups.append([])
                room = shardBytesMax
            }
            groups[groups.count - 1].append(tensor)
            room -= bytes
        }
        bytes = Self.bytes(tensors)
        shards = groups.enumerated().map { index, group in
            Shard(
                fileName: "model-\(Self.digits(index + 1))-of-\(Self.digits(groups.count)).safetensors",
                header: SafetensorsHeader(of: group, metadata: metadata))
        }
    }

    private static func bytes(_ tensors: [Tensor]) -> Int {
        tensors.reduce(0) { $0 + (TensorShape.byteCount($1.shape, $1.type) ?? 0) }
    }

    private static func digits(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(5 - digits.count, 0)) + digits
    }

    /// The index of the shards, as transformers writes it.
    package var index: JSONValue {
        let map = shards.flatMap { shard in shard.header.entries.map { ($0.name, shard.fileName) } }
            .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
        return .object([
            .init("metadata", .object([.init("total_size", .count(bytes))])),
            .init("weight_map", .object(map.map { .init($0.0, .string($0.1)) })),
        ])
    }
}

package import CheckpointFormat

/// Division of a checkpoint into safetensors files: pure arithmetic over names, types and shapes.
package struct SafetensorsLayout: Sendable {
    package typealias Tensor = (name: String, type: ElementType, shape: [Int])

    package struct Shard: Sendable {
        package var fileName: String
        package var header: SafetensorsHeader
    }

    package private(set) var shards: [Shard] = []
    /// Total size of all tensors in bytes.
    package let bytes: Int

    package static let indexName = "model.safetensors.index.json"

    /// Puts all tensors into one file.
    ///
    /// - Parameters:
    ///   - file: name of the file.
    ///   - tensors: name, type and shape of each tensor.
    ///   - metadata: pairs for `__metadata__`.
    package init(file: String, _ tensors: [Tensor], metadata: [(name: String, value: String)]) {
        shards = [Shard(fileName: file, header: SafetensorsHeader(of: tensors, metadata: metadata))]
        bytes = Self.bytes(tensors)
    }

    /// Divides the tensors among several files, which are filled in order.
    ///
    /// - Parameters:
    ///   - tensors: name, type and shape of each tensor.
    ///   - shardBytesMax: maximum size of the tensors of one file in bytes; a single larger tensor
    ///     gets its own file.
    ///   - metadata: pairs for `__metadata__` of every file.
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

    /// The index of the shards, as the transformers library writes it.
    package var index: JSONValue {
        let map = shards.flatMap { shard in shard.header.entries.map { ($0.name, shard.fileName) } }
            .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
        return .object([
            .init("metadata", .object([.init("total_size", .count(bytes))])),
            .init("weight_map", .object(map.map { .init($0.0, .string($0.1)) })),
        ])
    }
}

package import CheckpointFormat

/// Division of a checkpoint into safetensors files: pure arithmetic over names, types and shapes.
package struct SafetensorsLayout: Sendable {
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
    ///   - tensors: the tensors.
    ///   - metadata: pairs for `__metadata__`.
    package init(
        file: String, _ tensors: [SafetensorsTensor], metadata: [(name: String, value: String)]
    ) {
        shards = [Shard(fileName: file, header: SafetensorsHeader(of: tensors, metadata: metadata))]
        bytes = Self.bytes(tensors)
    }

    /// Divides the tensors among several files, which are filled in order.
    ///
    /// - Parameters:
    ///   - tensors: the tensors.
    ///   - shardBytesMax: maximum size of the tensors of one file in bytes; a single larger tensor
    ///     gets its own file.
    ///   - metadata: pairs for `__metadata__` of every file.
    package init(
        _ tensors: [SafetensorsTensor], shardBytesMax: Int,
        metadata: [(name: String, value: String)]
    ) {
        var groups: [[SafetensorsTensor]] = [[]]
        var room = shardBytesMax
        for tensor in tensors {
            if tensor.byteCount > room, groups[groups.count - 1].count > 0 {
                groups.append([])
                room = shardBytesMax
            }
            groups[groups.count - 1].append(tensor)
            room -= tensor.byteCount
        }
        bytes = Self.bytes(tensors)
        shards = groups.enumerated().map { index, group in
            Shard(
                fileName:
                    "model-\(Self.digits(index + 1))-of-\(Self.digits(groups.count)).safetensors",
                header: SafetensorsHeader(of: group, metadata: metadata))
        }
    }

    private static func bytes(_ tensors: [SafetensorsTensor]) -> Int {
        tensors.reduce(0) { $0 + $1.byteCount }
    }

    private static func digits(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(5 - digits.count, 0)) + digits
    }

    /// Returns the index of the shards, as the transformers library writes it.
    ///
    /// - Parameter metadata: members of its `metadata` other than `total_size`.
    package func index(_ metadata: [JSONValue.Member] = []) -> JSONValue {
        let map = shards.flatMap { shard in shard.header.entries.map { ($0.name, shard.fileName) } }
            .sorted { $0.0.precedesName($1.0) }
        return .object([
            .init("metadata", .object([.init("total_size", .count(bytes))] + metadata)),
            .init("weight_map", .object(map.map { .init($0.0, .string($0.1)) })),
        ])
    }
}

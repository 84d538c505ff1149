public import CheckpointFormat

/// One tensor of a checkpoint, as its manifest describes it. A plain value; sizes in bytes.
public struct TensorInfo: Sendable {
    /// A rectangular part of the tensor, held by one rank. A rank that holds an irregular part has
    /// several of them.
    public struct Shard: Sendable, Equatable {
        /// First index held, per dimension, in elements.
        public let offset: [Int]
        /// Number of indices held, per dimension, in elements.
        public let extent: [Int]
    }

    /// Stored form of the tensor's chunks.
    public struct Storage: Sendable {
        /// Number of chunks.
        public package(set) var chunkCount = 0
        /// Bytes of the chunks before encoding.
        public package(set) var bytes = 0
        /// Names of the codecs used, in order of first use.
        public package(set) var codecs: [String] = []
        var stored = 0.0
        /// Bytes of the encoded blocks. A block that several chunks share is divided among them.
        public var storedBytes: Int { Int(stored.rounded()) }
    }

    /// The name, unique among the checkpoint's tensors.
    public let name: String
    /// The type of the elements.
    public let type: ElementType
    /// Extent of each dimension, in elements; empty for a scalar.
    public let shape: [Int]
    /// The tensor's role in the training loop.
    public let role: TensorRole
    /// Name of the group of state that is mutated together.
    public let group: String
    /// Bytes of all elements, row-major.
    public let byteCount: Int
    /// The shards that make up the tensor.
    public let shards: [Shard]
    /// Stored form of the tensor.
    public let storage: Storage
}

extension TensorInfo {
    package init(_ record: TensorRecord, in manifest: Manifest) {
        self.init(
            name: record.name, type: record.type, shape: record.shape, role: record.role,
            group: manifest.groups[record.group].name, byteCount: record.bytes,
            shards: record.shards.flatMap { shard in
                shard.region.boxes(in: record.shape).map {
                    Shard(offset: $0.offset, extent: $0.extent)
                }
            },
            storage: manifest.storage(of: record.shards.map(\.chunks)))
    }
}

extension Manifest {
    /// Returns the stored form of the chunks in these rows of the chunk table.
    package func storage(of rows: [Range<Int>]) -> TensorInfo.Storage {
        var storage = TensorInfo.Storage()
        var codecs: [CodecIdentifier] = []
        for range in rows {
            for chunk in chunks[range] {
                let block = blocks[chunk.block]
                storage.chunkCount += 1
                storage.bytes += chunk.bytes
                storage.stored +=
                    Double(block.storedBytes) * Double(chunk.bytes) / Double(block.rawBytes)
                if !codecs.contains(block.codec) { codecs.append(block.codec) }
            }
        }
        storage.codecs = codecs.map(\.name)
        return storage
    }
}

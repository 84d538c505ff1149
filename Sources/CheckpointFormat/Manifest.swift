/// A checkpoint, or one rank's part of it, as a value (Formats/manifest.md).
package struct Manifest: Equatable, Sendable {
    package enum Kind: UInt8, Sendable {
        case checkpoint = 0
        case part = 1
    }

    package var kind: Kind = .checkpoint
    package var id: CheckpointID
    package var store: StoreID
    package var run: RunID
    package var runName: String
    package var step: Int
    /// Milliseconds since 1970.
    package var created: Int
    package var writer: String
    package var parent: Parent?
    package var worldSize = 1
    package var rank = 0
    /// In order of name.
    package var metrics: [Metric] = []
    package var groups: [Group] = []
    package var tensors: [TensorRecord] = []
    package var objects: [ObjectRecord] = []
    package var segments: [SegmentReference] = []
    package var blocks: [BlockRecord] = []
    package var chunks: [ChunkRecord] = []

    package init(
        id: CheckpointID, store: StoreID, run: RunID, runName: String, step: Int, created: Int, writer: String
    ) {
        self.id = id
        self.store = store
        self.run = run
        self.runName = runName
        self.step = step
        self.created = created
        self.writer = writer
    }

    package var name: ManifestName { ManifestName(run: run, step: step) }

    /// Bytes of all tensors and objects, before encoding.
    package var logicalBytes: Int { chunks.reduce(0) { $0 + $1.bytes } }
    /// Bytes of all blocks that the manifest names, as stored.
    package var storedBytes: Int { blocks.reduce(0) { $0 + $1.storedBytes } }

    /// Whether some blocks are made of others.
    package var hasBases: Bool { blocks.contains { $0.base != nil } }

    /// The row of a block, and those of the blocks that it is a delta or a cast of, the nearest first.
    package func chain(of row: Int) -> [Int] {
        var chain = [row]
        while let base = blocks[chain[chain.count - 1]].base { chain.append(base) }
        return chain
    }

    package struct Parent: Equatable, Sendable {
        package var id: CheckpointID
        package var run: RunID
        package var step: Int

        package init(id: CheckpointID, run: RunID, step: Int) {
            self.id = id
            self.run = run
            self.step = step
        }
    }

    package struct Metric: Equatable, Sendable {
        package var name: String
        package var value: Double

        package init(name: String, value: Double) {
            self.name = name
            self.value = value
        }
    }

    package struct Group: Equatable, Sendable {
        package var name: String
        /// Modulo 2^32, as the chunk rows have it.
        package var epoch: UInt32

        package init(name: String, epoch: UInt32) {
            self.name = name
            self.epoch = epoch
        }
    }
}

package struct TensorRecord: Equatable, Sendable {
    package var name: String
    package var type: ElementType
    package var shape: [Int]
    package var role: TensorRole
    /// Index into the manifest's groups.
    package var group: Int
    package var shards: [ShardRecord]

    package init(name: String, type: ElementType, shape: [Int], role: TensorRole, group: Int, shards: [ShardRecord]) {
        self.name = name
        self.type = type
        self.shape = shape
        self.role = role
        self.group = group
        self.shards = shards
    }

    /// Bytes of the whole tensor. The shape was checked when the record was made or decoded.
    package var bytes: Int { TensorShape.byteCount(shape, type) ?? 0 }
}

package struct ShardRecord: Equatable, Sendable {
    package var descriptor: ShardDescriptor
    /// Rows of the chunk table.
    package var chunks: Range<Int>

    package init(descriptor: ShardDescriptor, chunks: Range<Int>) {
        self.descriptor = descriptor
        self.chunks = chunks
    }
}

package struct ObjectRecord: Equatable, Sendable {
    package var name: String
    package var role: ObjectRole
    package var encoding: ObjectEncoding
    package var bytes: Int
    package var chunks: Range<Int>

    package init(name: String, role: ObjectRole, encoding: ObjectEncoding, bytes: Int, chunks: Range<Int>) {
        self.name = name
        self.role = role
        self.encoding = encoding
        self.bytes = bytes
        self.chunks = chunks
    }
}

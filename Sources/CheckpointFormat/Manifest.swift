/// The decoded content of a manifest: a checkpoint, or one rank's part of it (Formats/manifest.md).
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
    /// Time of creation, in milliseconds since 1970.
    package var created: Int
    package var writer: String
    package var parent: Parent?
    /// Place of the checkpoint in its run; nil in manifests that were written before 0.2.
    package var recordedOrigin: CheckpointOrigin?
    /// How the place of the store has compared the segments that the save has sent there; nil in a
    /// directory.
    package var transferCheck: String?
    package var worldSize = 1
    package var rank = 0
    /// The parts and the index of a checkpoint of several ranks, as its file has them; nil for
    /// every other checkpoint.
    package var root: RootRecord?
    /// The metrics, sorted by name.
    package var metrics: [Metric] = []
    package var groups: [Group] = []
    package var tensors: [TensorRecord] = []
    package var objects: [ObjectRecord] = []
    package var segments: [SegmentReference] = []
    package var blocks: [BlockRecord] = []
    package var chunks: [ChunkRecord] = []

    /// Creates a manifest without metrics, groups, tensors, objects and tables.
    ///
    /// - Parameters:
    ///   - id: The checkpoint's id.
    ///   - store: The store that the checkpoint belongs to.
    ///   - run: The run that saved it.
    ///   - runName: The run's name.
    ///   - step: The step.
    ///   - created: Time of creation, in milliseconds since 1970.
    ///   - writer: Name and version of the software that wrote it.
    package init(
        id: CheckpointID, store: StoreID, run: RunID, runName: String, step: Int, created: Int,
        writer: String
    ) {
        self.id = id
        self.store = store
        self.run = run
        self.runName = runName
        self.step = step
        self.created = created
        self.writer = writer
    }

    /// Place of the checkpoint in its run, assumed if the manifest does not record it.
    package var origin: CheckpointOrigin { recordedOrigin ?? .assumed(run, store: store) }

    /// File name of the manifest.
    package var name: ManifestName { ManifestName(run: run, step: step) }

    /// Size of all tensors and objects before encoding, in bytes.
    package var logicalBytes: Int { chunks.reduce(0) { $0 + $1.bytes } }
    /// Size of all blocks that the manifest references, as stored, in bytes.
    package var storedBytes: Int { blocks.reduce(0) { $0 + $1.storedBytes } }

    /// The part of `storedBytes` without content of the checkpoint: blocks that its deltas need,
    /// and the content of other checkpoints in shared blocks of small tensors.
    package var baseBytes: Int { storedBytes - contentBytes.values.reduce(0, +) }

    /// The stored bytes with content of the checkpoint, by row of the block. A block counts in
    /// proportion to the bytes that the checkpoint uses.
    package var contentBytes: [Int: Int] {
        var places: Set<UInt64> = []
        var used: [Int: Int] = [:]
        for chunk in chunks {
            let place = UInt64(chunk.block) << 32 | UInt64(chunk.offset)
            guard places.insert(place).inserted else { continue }
            used[chunk.block, default: 0] += chunk.bytes
        }
        var content: [Int: Int] = [:]
        for (row, bytes) in used {
            let share = min(Double(bytes) / Double(max(blocks[row].rawBytes, 1)), 1)
            // A cast is computed from its base, and has no stored bytes.
            let holder = blocks[row].codec.isCast ? blocks[row].base ?? row : row
            let stored = Int((Double(blocks[holder].storedBytes) * share).rounded(.up))
            content[holder] = max(content[holder] ?? 0, stored)
        }
        return content
    }

    /// True if some blocks are deltas or casts of other blocks.
    package var hasBases: Bool { blocks.contains { $0.base != nil } }

    /// Returns the rows of all blocks that are needed to decode one block.
    ///
    /// - Parameter row: Row of the block in the block table.
    /// - Returns: `row`, its base (the block that it is a delta or a cast of), the base of that,
    ///   and so on.
    package func chain(of row: Int) -> [Int] {
        var chain = [row]
        while let base = blocks[chain[chain.count - 1]].base { chain.append(base) }
        return chain
    }

    /// The checkpoint that a restart was resumed from.
    package struct Parent: Equatable, Sendable {
        package var id: CheckpointID
        package var run: RunID
        package var step: Int

        package init(id: CheckpointID, run: RunID, step: Int) {
            self.id = id
            self.run = run
            self.step = step
        }

        /// File name of the parent's manifest.
        package var name: ManifestName { ManifestName(run: run, step: step) }
    }

    /// One metric of the step, such as the loss.
    package struct Metric: Equatable, Sendable {
        package var name: String
        package var value: Double

        package init(name: String, value: Double) {
            self.name = name
            self.value = value
        }
    }

    /// A group of tensors that are updated together.
    package struct Group: Equatable, Sendable {
        package var name: String
        /// Number of updates granted to the group before the capture, modulo 2^32, as in the chunk
        /// rows.
        package var epoch: UInt32

        package init(name: String, epoch: UInt32) {
            self.name = name
            self.epoch = epoch
        }
    }
}

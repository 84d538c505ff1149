internal import CheckpointFormat
internal import CheckpointSegments
public import CheckpointStorage

/// The stored bytes that one checkpoint needs, by who else needs them. Sizes in bytes.
public struct StoredShares: Sendable, Equatable {
    /// Blocks that no other checkpoint needs: deleting this one would free them.
    public internal(set) var own = 0
    /// Blocks with content of this checkpoint that others need too.
    public internal(set) var shared = 0
    /// Bytes without content of this checkpoint: blocks that its deltas are based on, and the
    /// content of other checkpoints in shared blocks of small tensors.
    public internal(set) var bases = 0

    /// Divides the blocks of a checkpoint. Pure.
    ///
    /// - Parameters:
    ///   - manifest: the checkpoint.
    ///   - others: blocks that other checkpoints name.
    init(_ manifest: Manifest, others: Set<BlockID>) {
        let content = manifest.contentBytes
        for (row, block) in manifest.blocks.enumerated() where !block.codec.isCast {
            guard let used = content[row] else {
                bases += block.storedBytes
                continue
            }
            if others.contains(BlockID(block, in: manifest.segments)) {
                shared += used
                bases += block.storedBytes - used
            } else {
                own += block.storedBytes
            }
        }
    }
}

extension CheckpointStore {
    /// Divides what a checkpoint needs by who else needs it. Reads every manifest, and no segment.
    ///
    /// - Parameter checkpoint: a checkpoint of this store.
    /// - Returns: the sizes. Blocks that only an unreadable manifest shares count as not shared.
    /// - Throws: code `io` (the store cannot be listed).
    public func storedShares(of checkpoint: Checkpoint) throws(CheckpointError) -> StoredShares {
        var others: Set<BlockID> = []
        for name in try files.names() where name != checkpoint.manifest.name {
            // A damaged manifest, or one that is gone since it was listed: see above.
            guard let tables = try? files.loadTables(name) else { continue }
            for block in tables.blocks where !block.codec.isCast {
                others.insert(BlockID(block, in: tables.segments))
            }
        }
        return StoredShares(checkpoint.manifest, others: others)
    }
}

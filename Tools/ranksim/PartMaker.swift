import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointSharding
import CheckpointStorage

/// Makes the parts of ranks as the engine would, without tensor data: hashes are those of names.
struct PartMaker {
    let layout: ModelLayout
    let store: StoreID
    let attempt: AttemptName
    var chunkBytes = Limits.chunkBytesDefault

    /// A shard of the rank, and whether it saves it.
    private struct Held {
        var tensor: Int
        var piece: ShardPiece
        var holders: [Int]
    }

    /// Makes the part of a rank.
    ///
    /// - Parameter rank: the rank.
    /// - Throws: `ShardingError`.
    func part(of rank: Int) throws(ShardingError) -> Manifest {
        var held: [Held] = []
        for (index, tensor) in layout.tensors.enumerated() {
            let shard = try tensor.sharding.shard(of: rank, in: layout.mesh)
            for (number, piece) in shard.pieces.enumerated() {
                held.append(
                    Held(
                        tensor: index, piece: piece, holders: shard.holders?.ranks[number] ?? [rank]
                    ))
            }
        }
        let owners = OwnerBalance.owners(
            of: held.map { held in
                let tensor = layout.tensors[held.tensor]
                return OwnerBalance.Region(
                    tensor: tensor.name, first: held.piece.offset,
                    bytes: tensor.type.bytes(ofElements: held.piece.count), holders: held.holders)
            })
        var manifest = Manifest(
            id: attempt.attempt, store: store, run: attempt.checkpoint.run, runName: "simulated",
            step: attempt.checkpoint.step, created: 1, writer: "ranksim")
        (manifest.kind, manifest.worldSize, manifest.rank) = (.part, layout.mesh.worldSize, rank)
        manifest.groups = [.init(name: "state", epoch: 0)]
        for (held, owner) in zip(held, owners) { add(held, isOwner: owner == rank, to: &manifest) }
        let count = (manifest.blocks.last?.segment ?? -1) + 1
        manifest.segments = (0..<count).map { number in
            SegmentReference(
                name: SegmentName(attempt: attempt.attempt, rank: rank, number: number),
                fileBytes: 2 * Self.segmentBytes, trailerHash: Hash128(rawValue: UInt128(rank)))
        }
        return manifest
    }

    private func add(_ held: Held, isOwner: Bool, to manifest: inout Manifest) {
        let tensor = layout.tensors[held.tensor]
        if manifest.tensors.last?.name != tensor.name {
            manifest.tensors.append(
                TensorRecord(
                    name: tensor.name, type: tensor.type, shape: tensor.sharding.shape,
                    role: tensor.role, group: 0, shards: []))
        }
        let region: ShardRegion =
            ShardDescriptor(held.piece.elements, in: tensor.sharding.shape).map { .box($0) }
            ?? .pieces([
                ShardPiece(
                    shape: held.piece.shape, offset: held.piece.offset, strides: held.piece.strides)
            ])
        let bytes = tensor.type.bytes(ofElements: held.piece.count)
        let chunks = stride(from: 0, to: bytes, by: chunkBytes).map { start in
            CopyRecord.Chunk(
                bytes: min(chunkBytes, bytes - start),
                hash: Hashing.digest(
                    Array("\(tensor.name) \(held.piece.offset) \(start)".utf8)[...]))
        }
        let last = manifest.tensors.count - 1
        guard isOwner else {
            manifest.tensors[last].copies.append(CopyRecord(region: region, chunks: chunks))
            return
        }
        let first = manifest.chunks.count
        for chunk in chunks { add(chunk, to: &manifest) }
        manifest.tensors[last].shards.append(
            ShardRecord(region: region, chunks: first..<manifest.chunks.count))
    }

    private static let segmentBytes = 1 << 30

    private func add(_ chunk: CopyRecord.Chunk, to manifest: inout Manifest) {
        var (segment, offset) = (0, Limits.pageBytes)
        if let last = manifest.blocks.last {
            let end = last.location.offset + roundedUpToPage(last.location.storedBytes)
            (segment, offset) =
                end > Self.segmentBytes
                ? (last.segment + 1, Limits.pageBytes) : (last.segment, end)
        }
        manifest.chunks.append(
            ChunkRecord(
                hash: chunk.hash, block: manifest.blocks.count, offset: 0, bytes: chunk.bytes,
                epoch: 0))
        manifest.blocks.append(
            BlockRecord(
                segment: segment,
                location: SegmentBlock(
                    offset: offset, storedBytes: chunk.bytes, rawBytes: chunk.bytes, storedHash: 0,
                    codec: .raw)))
    }
}

internal import CheckpointFormat
internal import CheckpointSharding
internal import CheckpointState

/// Assignment of blocks to destinations in the trainer's memory: pure arithmetic over a manifest
/// and an inventory.
package struct RestorePlan: Sendable {
    /// One chunk and its destination.
    package struct Piece: Sendable {
        package var chunk: ChunkRecord
        /// View of the memory that the chunk is copied to.
        package var view: TensorView
        package var destination: Destination
        package var tensor: String
        /// Conversion of the chunk's elements; nil if the view has the same type.
        package var conversion: FloatConversion?
    }

    /// The place of a chunk in a view.
    package enum Destination: Sendable {
        /// Row-major bytes from this offset on, before any conversion.
        case contiguous(Int)
        /// Elements of the chunk, to row-major elements of the view.
        case scattered([StridedCopy])
    }

    /// A block to read, with the chunks that are needed from it.
    package struct Read: Sendable {
        /// Row of the block in the manifest.
        package var row: Int
        package var block: BlockRecord
        package var pieces: [Piece]
        /// Casts of this block that are needed too: the block is then read only once.
        package var casts: [Read] = []
    }

    package private(set) var reads: [Read] = []
    package private(set) var tensorBytes = 0
    /// Stored bytes of all blocks to read, and of those that they are deltas of.
    package private(set) var readBytes = 0

    /// Plans a restore of several tensors.
    ///
    /// - Parameters:
    ///   - manifest: the checkpoint's manifest.
    ///   - tensors: destinations by name; each must be in the manifest with the same shape.
    ///   - types: whether the types of floating-point tensors may differ.
    /// - Throws: codes `mismatch`, `damaged`, `unsupported` (a chunk ends inside an element that is
    ///   to be converted).
    package init(
        _ manifest: Manifest, into tensors: [TensorItem], _ types: RestoreTypes = .exact
    ) throws(CheckpointError) {
        let records = Dictionary(
            manifest.tensors.map { (ByteName($0.name), $0) },
            uniquingKeysWith: { first, _ in first })
        var piecesOfBlock: [Int: [Piece]] = [:]
        for item in tensors {
            let record = records[ByteName(item.name)]
            let conversion = types.conversion(from: record?.type, to: item.view.type)
            guard let record, record.type == item.view.type || conversion != nil,
                record.shape == item.shape
            else {
                throw CheckpointError(
                    .mismatch, "the checkpoint has no tensor of this name, type and shape",
                    names: [item.name])
            }
            let pieces: [Piece]
            if let shard = item.shard {
                tensorBytes += record.type.bytes(ofElements: shard.elementCount)
                pieces = try Self.pieces(record, manifest, shard, item.view)
            } else {
                tensorBytes += record.bytes
                pieces = try Self.pieces(record, manifest, item.view)
            }
            for var piece in pieces {
                guard conversion == nil || piece.chunk.bytes % record.type.width == 0 else {
                    throw CheckpointError(
                        .unsupported,
                        "tensor \(record.name) cannot be converted: a chunk ends inside an element",
                        remedy: "Restore it into a tensor of \(record.type)", names: [record.name])
                }
                piece.conversion = conversion
                piecesOfBlock[piece.chunk.block, default: []].append(piece)
            }
        }
        setReads(piecesOfBlock, manifest)
    }

    /// Plans a restore of one tensor.
    ///
    /// - Parameters:
    ///   - manifest: the checkpoint's manifest.
    ///   - record: the tensor.
    ///   - view: a view of the tensor's type and shape.
    /// - Throws: code `mismatch`.
    package init(_ manifest: Manifest, _ record: TensorRecord, into view: TensorView) throws(CheckpointError) {
        tensorBytes = record.bytes
        let pieces = try Self.pieces(record, manifest, view)
        setReads(Dictionary(grouping: pieces, by: \.chunk.block), manifest)
    }

    /// Plans a restore of some elements of a tensor.
    ///
    /// - Parameters:
    ///   - manifest: the checkpoint's manifest.
    ///   - record: the tensor.
    ///   - shard: the elements, and their places in the view.
    ///   - view: a view of the tensor's type with as many elements as the shard's memory.
    /// - Throws: codes `mismatch`, `damaged`, `unsupported` (a chunk ends inside an element).
    package init(
        _ manifest: Manifest, _ record: TensorRecord, _ shard: TensorShard, into view: TensorView
    ) throws(CheckpointError) {
        tensorBytes = record.type.bytes(ofElements: shard.elementCount)
        let pieces = try Self.pieces(record, manifest, shard, view)
        setReads(Dictionary(grouping: pieces, by: \.chunk.block), manifest)
    }

    private mutating func setReads(_ piecesOfBlock: [Int: [Piece]], _ manifest: Manifest) {
        reads = Self.reads(piecesOfBlock, manifest)
        readBytes = reads.reduce(0) { sum, read in
            manifest.chain(of: read.row).reduce(sum) { $0 + manifest.blocks[$1].storedBytes }
        }
    }

    /// Returns the reads in the order of the blocks on disk.
    private static func reads(_ piecesOfBlock: [Int: [Piece]], _ manifest: Manifest) -> [Read] {
        var reads: [Int: Read] = [:]
        for (row, pieces) in piecesOfBlock { reads[row] = Read(row: row, block: manifest.blocks[row], pieces: pieces) }
        for row in piecesOfBlock.keys.sorted() where manifest.blocks[row].codec.isCast {
            guard let base = manifest.blocks[row].base, reads[base] != nil, let read = reads.removeValue(forKey: row) else { continue }
            reads[base]?.casts.append(read)
        }
        return reads.values.sorted { ($0.block.segment, $0.block.offset) < ($1.block.segment, $1.block.offset) }
    }

    private static func pieces(
        _ record: TensorRecord, _ manifest: Manifest, _ view: TensorView
    ) throws(CheckpointError) -> [Piece] {
        var pieces: [Piece] = []
        for shard in record.shards {
            let chunks = manifest.chunks[shard.chunks]
            guard let box = shard.region.box else {
                let whole = ShardPiece(ShardDescriptor(whole: record.shape), in: record.shape)
                let copies = shard.region.pieces(in: record.shape).flatMap {
                    PieceIntersection.copies(from: $0, to: whole)
                }
                pieces += try Self.scatter(chunks, copies, to: view, of: record)
                continue
            }
            let part: TensorView
            do { part = try view.part(box) } catch {
                throw CheckpointError(
                    .mismatch, "tensor \(record.name): \(error)", names: [record.name])
            }
            var offset = 0
            for chunk in chunks {
                pieces.append(
                    Piece(
                        chunk: chunk, view: part, destination: .contiguous(offset),
                        tensor: record.name)
                )
                offset += chunk.bytes
            }
        }
        return pieces
    }

    /// Returns the chunks that fill a rank's memory for its shard of a tensor.
    private static func pieces(
        _ record: TensorRecord, _ manifest: Manifest, _ shard: TensorShard, _ view: TensorView
    ) throws(CheckpointError) -> [Piece] {
        let source = ReshardSource(
            record.shards.map { SavedShard(pieces: $0.region.pieces(in: record.shape)) })
        let plan: ReshardPlan
        do throws(ShardingError) {
            plan = try ReshardPlan(source, to: shard.pieces, rank: nil, tensor: record.name)
        } catch {
            throw CheckpointError(.damaged, "\(error)", names: [record.name])
        }
        var pieces: [Piece] = []
        for transfer in plan.transfers {
            guard transfer.copies.allSatisfy({ $0.isWholeBytes(of: record.type) }) else {
                throw CheckpointError(
                    .mismatch, "tensor \(record.name): a shard splits a byte of \(record.type)",
                    remedy: "Split the tensor where no byte is shared by two elements",
                    names: [record.name])
            }
            pieces += try scatter(
                manifest.chunks[record.shards[transfer.shard].chunks], transfer.copies, to: view,
                of: record)
        }
        return pieces
    }

    /// Returns the chunks of a shard that copies read, each with its part of the copies.
    private static func scatter(
        _ chunks: ArraySlice<ChunkRecord>, _ copies: [StridedCopy], to view: TensorView,
        of record: TensorRecord
    ) throws(CheckpointError) -> [Piece] {
        var (pieces, start) = ([Piece](), 0)
        for chunk in chunks {
            guard chunk.bytes % record.type.width == 0 else {
                throw CheckpointError(
                    .unsupported,
                    "tensor \(record.name) cannot be divided: a chunk ends inside an element",
                    remedy: "Restore the complete tensor", names: [record.name])
            }
            let end = start + chunk.bytes / record.type.width * record.type.elementsPerUnit
            let parts = copies.flatMap { $0.part(reading: start..<end) }
            if parts.count == 1, let run = parts[0].onlyRun, run.count == end - start {
                let offset = record.type.bytes(ofElements: run.destination)
                pieces.append(
                    Piece(
                        chunk: chunk, view: view, destination: .contiguous(offset),
                        tensor: record.name))
            } else if !parts.isEmpty {
                pieces.append(
                    Piece(
                        chunk: chunk, view: view, destination: .scattered(parts),
                        tensor: record.name))
            }
            start = end
        }
        return pieces
    }
}

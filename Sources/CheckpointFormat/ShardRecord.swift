/// A shard of a tensor in a manifest, and its chunks (Formats/manifest.md, JSON).
package struct ShardRecord: Equatable, Sendable {
    package var region: ShardRegion
    /// Rows of the chunk table that hold the shard, in order.
    package var chunks: Range<Int>
    /// Other ranks whose memory held the same elements when they were saved, ascending.
    package var replicas: [Int]

    package init(region: ShardRegion, chunks: Range<Int>, replicas: [Int] = []) {
        self.region = region
        self.chunks = chunks
        self.replicas = replicas
    }

    /// Creates the record of a box.
    package init(descriptor: ShardDescriptor, chunks: Range<Int>) {
        self.init(region: .box(descriptor), chunks: chunks)
    }
}

extension ShardRecord {
    var json: JSONValue {
        let place: [JSONValue.Member] =
            switch region {
            case .box(let box):
                [.init("offset", .counts(box.offset)), .init("extent", .counts(box.extent))]
            case .pieces(let pieces): [.init("pieces", Self.json(pieces))]
            }
        let replicas: [JSONValue.Member] =
            replicas.isEmpty ? [] : [.init("replicas", .counts(replicas))]
        return .object(
            place + [
                .init("first", .count(chunks.lowerBound)), .init("count", .count(chunks.count)),
            ] + replicas)
    }

    private static func json(_ pieces: [ShardPiece]) -> JSONValue {
        var end = 0
        return .array(
            pieces.map { piece in
                let json = piece.json(packedAt: end)
                end += piece.count
                return json
            })
    }

    /// Decodes a shard and checks everything that does not concern other shards.
    ///
    /// - Parameters:
    ///   - value: The JSON object.
    ///   - tensor: The tensor, without its shards.
    ///   - epoch: Epoch of the tensor's group.
    ///   - table: The chunk table.
    ///   - head: Properties of the manifest.
    ///   - offset: Offset in the file of the JSON text.
    /// - Throws: Damage if a rule is broken.
    init(
        _ value: JSONValue, of tensor: TensorRecord, epoch: UInt32, chunks table: [ChunkRecord],
        head: ManifestHead, offset: Int
    ) throws(FormatError) {
        let fields = try JSONFields(value, "shard", offset: offset)
        chunks = try fields.chunkRange(in: table)
        if fields.has("pieces") {
            region = .pieces(try Self.pieces(fields, of: tensor, head, offset: offset))
        } else {
            let box = ShardDescriptor(
                offset: try fields.counts("offset", atMost: Limits.rankOfTensorMax),
                extent: try fields.counts("extent", atMost: Limits.rankOfTensorMax))
            guard TensorShape.byteCount(box.extent, tensor.type) != nil else {
                throw fields.error("extent \(box.extent) is too large")
            }
            region = .box(box)
        }
        replicas = try Self.replicas(fields, head)
        let bytes = table[chunks].totalBytes
        guard TensorShape.byteCount([region.elementCount], tensor.type) == bytes else {
            throw fields.error(
                "its \(region.elementCount) elements do not fit the \(bytes) bytes of its chunks")
        }
        guard table[chunks].allSatisfy({ $0.epoch == epoch }) else {
            throw fields.error("a chunk does not have the epoch \(epoch) of its group")
        }
        if case .pieces = region {
            let width = tensor.type.width
            guard table[chunks].allSatisfy({ $0.bytes % width == 0 }) else {
                throw fields.error("a chunk of its pieces ends inside an element")
            }
        }
    }

    private static func pieces(
        _ fields: JSONFields, of tensor: TensorRecord, _ head: ManifestHead, offset: Int
    ) throws(FormatError) -> [ShardPiece] {
        guard head.features.contains(.pieces) else {
            throw fields.error("pieces are present without feature pieces")
        }
        guard !fields.has("offset"), !fields.has("extent") else {
            throw fields.error("it has both pieces and a box")
        }
        let elements = TensorShape.elementCount(tensor.shape) ?? 0
        var (pieces, end) = ([ShardPiece](), 0)
        for value in try fields.array("pieces", atMost: Limits.piecesPerShardMax) {
            let piece = try ShardPiece(value, packedAt: end, offset: offset)
            // The memory is as large as the pieces together, which is not known yet.
            do throws(PieceError) { try piece.check(tensor: elements, memory: .max) } catch {
                throw fields.error("\(error)")
            }
            let (sum, isHuge) = end.addingReportingOverflow(piece.count)
            guard !isHuge else { throw fields.error("its pieces are too large") }
            end = sum
            pieces.append(piece)
        }
        guard !pieces.isEmpty else { throw fields.error("pieces is empty") }
        // Of more runs the next checks would take too long, those of the tensor included.
        guard pieces.runCount <= Limits.runsPerTensorMax else {
            throw fields.error("its pieces have more than \(Limits.runsPerTensorMax) runs")
        }
        guard pieces.allSatisfy({ $0.localElements.isValid(below: end) }),
            ElementCover.fault(pieces.map(\.localElements), in: [end]) == nil
        else { throw fields.error("its pieces do not fill \(end) elements, each once") }
        return pieces
    }

    private static func replicas(
        _ fields: JSONFields, _ head: ManifestHead
    ) throws(FormatError) -> [Int] {
        guard fields.has("replicas") else { return [] }
        let replicas = try fields.counts("replicas", atMost: Limits.worldSizeMax)
        guard zip(replicas, replicas.dropFirst()).allSatisfy({ $0 < $1 }),
            replicas.last ?? 0 < head.worldSize, !replicas.contains(head.rank)
        else {
            throw fields.error("replicas are not other ranks of \(head.worldSize) in ascending order")
        }
        return replicas
    }
}

extension [ShardPiece] {
    /// Number of runs in the tensor. The pieces must be valid.
    var runCount: Int { reduce(0) { $0 + $1.elements.runCount } }
}

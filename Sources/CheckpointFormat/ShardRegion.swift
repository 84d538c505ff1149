/// The part of a tensor that a shard holds.
package enum ShardRegion: Hashable, Sendable {
    /// A box, row-major in the shard's bytes.
    case box(ShardDescriptor)
    /// Pieces, which together fill the shard's bytes.
    case pieces([ShardPiece])

    /// Number of elements. The region must be valid.
    package var elementCount: Int {
        switch self {
        case .box(let box): TensorShape.elementCount(box.extent) ?? 0
        case .pieces(let pieces): pieces.reduce(0) { $0 + $1.count }
        }
    }

    /// The box; nil if the region is given as pieces.
    package var box: ShardDescriptor? {
        if case .box(let box) = self { box } else { nil }
    }

    /// Returns the region as pieces; empty if it has no elements.
    ///
    /// - Parameter shape: Shape of the tensor, in which the region lies.
    package func pieces(in shape: [Int]) -> [ShardPiece] {
        switch self {
        case .box(let box): box.extent.contains(0) ? [] : [ShardPiece(box, in: shape)]
        case .pieces(let pieces): pieces
        }
    }

    /// Returns the boxes that make up the region: one for a box, and for a piece as many as its
    /// strides demand.
    ///
    /// - Parameter shape: Shape of the tensor, in which the region lies.
    package func boxes(in shape: [Int]) -> [ShardDescriptor] {
        switch self {
        case .box(let box): [box]
        case .pieces(let pieces):
            pieces.flatMap { ShardDescriptor.boxes($0.elements, in: shape) }
        }
    }
}

// MARK: JSON

extension ShardRegion {
    /// The members that say which elements the region has.
    var json: [JSONValue.Member] {
        switch self {
        case .box(let box):
            [.init("offset", .counts(box.offset)), .init("extent", .counts(box.extent))]
        case .pieces(let pieces): [.init("pieces", Self.json(pieces))]
        }
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

    /// Decodes a region and checks what does not concern other regions of the tensor.
    ///
    /// - Parameters:
    ///   - fields: The JSON object of a shard.
    ///   - tensor: The tensor, without its shards.
    ///   - offset: Offset in the file of the JSON text.
    /// - Throws: Damage if a rule is broken.
    init(_ fields: JSONFields, of tensor: TensorRecord, offset: Int) throws(FormatError) {
        guard !fields.has("pieces") else {
            self = .pieces(try Self.pieces(fields, of: tensor, offset: offset))
            return
        }
        let box = ShardDescriptor(
            offset: try fields.counts("offset", atMost: Limits.rankOfTensorMax),
            extent: try fields.counts("extent", atMost: Limits.rankOfTensorMax))
        guard TensorShape.byteCount(box.extent, tensor.type) != nil else {
            throw fields.error("extent \(box.extent) is too large")
        }
        self = .box(box)
    }

    private static func pieces(
        _ fields: JSONFields, of tensor: TensorRecord, offset: Int
    ) throws(FormatError) -> [ShardPiece] {
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
}

extension [ShardPiece] {
    /// Number of runs in the tensor. The pieces must be valid.
    var runCount: Int { reduce(0) { $0 + $1.elements.runCount } }
}

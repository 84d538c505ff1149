/// A regular part of a tensor and its place in the memory of the rank that holds it: for every
/// index of `shape` a position in the tensor and one in the memory, both in elements.
package struct ShardPiece: Hashable, Sendable {
    /// Extents of the piece; `[]` is one element. None is 0.
    package var shape: [Int]
    /// Position of the first element in the tensor's row-major order.
    package var offset: Int
    /// Distance in the tensor between neighbours, per dimension of `shape`.
    package var strides: [Int]
    /// Position of the first element in the rank's memory.
    package var localOffset: Int
    /// Distance in the rank's memory between neighbours, per dimension of `shape`.
    package var localStrides: [Int]

    package init(
        shape: [Int], offset: Int, strides: [Int], localOffset: Int, localStrides: [Int]
    ) {
        self.shape = shape
        self.offset = offset
        self.strides = strides
        self.localOffset = localOffset
        self.localStrides = localStrides
    }

    /// Creates a piece that is row-major in the rank's memory, without gaps.
    package init(shape: [Int], offset: Int, strides: [Int], localOffset: Int = 0) {
        self.init(
            shape: shape, offset: offset, strides: strides, localOffset: localOffset,
            localStrides: TensorShape.rowMajorStrides(shape))
    }

    /// Creates the piece of a box that is row-major in the rank's memory.
    ///
    /// - Parameters:
    ///   - box: A box inside the tensor, not empty.
    ///   - shape: Shape of the tensor.
    ///   - localOffset: Position of the box in the rank's memory, in elements.
    package init(_ box: ShardDescriptor, in shape: [Int], localOffset: Int = 0) {
        let elements = StridedElements(box, in: shape)
        self.init(
            shape: box.extent, offset: elements.offset, strides: elements.dimensions.map(\.stride),
            localOffset: localOffset)
    }

    /// Positions in the tensor.
    package var elements: StridedElements {
        StridedElements(
            offset: offset,
            dimensions: zip(shape, strides).map { .init(count: $0, stride: $1) })
    }

    /// Positions in the rank's memory.
    package var localElements: StridedElements {
        StridedElements(
            offset: localOffset,
            dimensions: zip(shape, localStrides).map { .init(count: $0, stride: $1) })
    }

    /// Number of elements. The piece must be valid.
    package var count: Int { shape.reduce(1, *) }

    /// Checks the piece: its numbers of dimensions, its extents, that it is inside the tensor and
    /// inside the memory, and that it holds no position of either twice.
    ///
    /// - Parameters:
    ///   - tensor: Number of elements of the tensor.
    ///   - memory: Number of elements of the rank's memory.
    /// - Throws: The broken rule.
    package func check(tensor: Int, memory: Int) throws(PieceError) {
        guard shape.count <= Limits.rankOfTensorMax, strides.count == shape.count,
            localStrides.count == shape.count
        else { throw PieceError(.dimensions, self) }
        guard shape.allSatisfy({ $0 >= 1 }) else { throw PieceError(.empty, self) }
        guard elements.isValid(below: tensor) else {
            throw PieceError(.positions(of: tensor), self)
        }
        guard localElements.isValid(below: memory) else {
            throw PieceError(.localPositions(of: memory), self)
        }
    }
}

extension ShardPiece {
    /// Returns the JSON form. Members that have their default are left out.
    ///
    /// - Parameter end: Number of elements of the pieces before this one.
    func json(packedAt end: Int) -> JSONValue {
        var members: [JSONValue.Member] = [
            .init("shape", .counts(shape)), .init("offset", .count(offset)),
            .init("strides", .counts(strides)),
        ]
        if localOffset != end { members.append(.init("local_offset", .count(localOffset))) }
        if localStrides != TensorShape.rowMajorStrides(shape) {
            members.append(.init("local_strides", .counts(localStrides)))
        }
        return .object(members)
    }

    /// Decodes the JSON form. Bounds are not checked, except numbers of dimensions.
    ///
    /// - Parameters:
    ///   - value: The JSON object.
    ///   - end: Number of elements of the pieces before this one.
    ///   - offset: Offset in the file of the JSON text.
    /// - Throws: Damage if a member is missing or of a wrong type.
    init(_ value: JSONValue, packedAt end: Int, offset fileOffset: Int) throws(FormatError) {
        let fields = try JSONFields(value, "piece", offset: fileOffset)
        let most = Limits.rankOfTensorMax
        shape = try fields.counts("shape", atMost: most)
        offset = try fields.count("offset")
        strides = try fields.counts("strides", atMost: most)
        localOffset = fields.has("local_offset") ? try fields.count("local_offset") : end
        localStrides =
            fields.has("local_strides")
            ? try fields.counts("local_strides", atMost: most) : TensorShape.rowMajorStrides(shape)
    }
}

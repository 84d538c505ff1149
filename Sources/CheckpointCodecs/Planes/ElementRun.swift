package import CheckpointFormat

/// A run of a block's bytes that are elements of one type.
package struct ElementRun: Sendable, Equatable {
    package var bytes: Int
    /// Type of the elements; nil for bytes of unknown type, such as those of an object.
    package var type: ElementType?
    /// Number of elements in a row of the tensor; 0 if the tensor has no rows or the shape is
    /// unknown.
    package var columns = 0
    /// Column of the first element.
    package var first = 0

    /// Creates a run without rows and columns.
    ///
    /// - Parameters:
    ///   - bytes: Size in bytes.
    ///   - type: Type of the elements; nil if unknown. Complex numbers count as two elements, and
    ///     packed elements as bytes.
    package init(bytes: Int, type: ElementType?) {
        self.bytes = bytes
        self.type = type.map { $0.elementsPerUnit > 1 ? .u8 : $0.complexPart ?? $0 }
    }

    /// Creates a run that is a part of a tensor.
    ///
    /// - Parameters:
    ///   - range: The part, in bytes of the row-major tensor.
    ///   - type: Type of the elements.
    ///   - shape: Shape of the tensor, in elements.
    package init(_ range: Range<Int>, of type: ElementType, shape: [Int]) {
        self.init(bytes: range.count, type: type)
        guard type.elementsPerUnit == 1 else { return }
        columns = Self.columns(of: type.complexPart == nil ? shape : shape + [2])
        if columns > 0, let type = self.type { first = range.lowerBound / type.width % columns }
    }

    /// Returns the number of elements in a row. A row spans the trailing dimensions that together
    /// have at least `columnsMin` elements; a shorter row is too short for its elements' magnitude
    /// to be characteristic.
    private static func columns(of shape: [Int]) -> Int {
        var columns = 1
        // Wrapping multiplication, because the other extents of a shape with a 0 can be arbitrary.
        for extent in shape.dropFirst().reversed() where columns < columnsMin { columns &*= extent }
        return columns >= columnsMin ? columns : 0
    }

    private static let columnsMin = 16
}

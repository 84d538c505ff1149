internal import CheckpointFormat

/// Tensors one after the other in one buffer, as ZeRO and FSDP1 keep them.
public struct FlatBuffer: Hashable, Sendable {
    /// Position of each tensor, in elements.
    public private(set) var offsets: [Int] = []
    /// Size of the buffer in elements.
    public private(set) var count = 0

    /// Lays out a buffer.
    ///
    /// - Parameters:
    ///   - shapes: Shapes of the tensors, in order.
    ///   - alignment: Every tensor begins at a multiple of this, in elements; at least 1.
    ///   - multiple: The size of the buffer is a multiple of this; at least 1.
    /// - Throws: `ShardingError` if a shape is invalid or the buffer is too large.
    public init(
        _ shapes: [[Int]], alignment: Int = 1, multiple: Int = 1
    ) throws(ShardingError) {
        for shape in shapes {
            guard let start = Self.rounded(count, alignment),
                let elements = TensorShape.elementCount(shape), elements <= Int.max - start
            else { throw Self.tooLarge }
            offsets.append(start)
            count = start + elements
        }
        guard let end = Self.rounded(count, multiple) else { throw Self.tooLarge }
        count = end
    }

    private static func rounded(_ number: Int, _ multiple: Int) -> Int? {
        guard multiple >= 1 else { return nil }
        let (sum, isHuge) = number.addingReportingOverflow(multiple - 1)
        return isHuge ? nil : sum / multiple * multiple
    }

    private static var tooLarge: ShardingError {
        ShardingError(.declaration, "a buffer of these tensors with this alignment is too large")
    }
}

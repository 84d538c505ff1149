internal import CheckpointFormat

/// Formats extents or strides from a file, shortened for a message.
///
/// - Parameter numbers: untrusted extents or strides.
/// - Returns: at most 16 of them.
func shown(_ numbers: [Int]) -> String {
    numbers.count <= 16
        ? "\(numbers)"
        : "[" + numbers.prefix(16).map(String.init).joined(separator: ", ") + ", ...]"
}

/// Returns whether a size in bytes fits in 63 bits even if extents of 0 are left out. numpy and the
/// safetensors library multiply from the first extent on, and refuse a shape that overflows on the
/// way.
func isComputable(_ shape: [Int], _ type: ElementType) -> Bool {
    guard let count = TensorShape.elementCount(shape.filter { $0 != 0 }) else { return false }
    return !(count / type.elementsPerUnit).multipliedReportingOverflow(by: type.width).overflow
}

/// Refuses shapes that no tensor can have here, or that the format's own library refuses.
///
/// - Parameters:
///   - shape: extents in elements.
///   - type: type of the elements.
///   - what: name of the tensor in messages.
/// - Throws: `FormatError` if the rank is too high or the size overflows.
func checkShape(_ shape: [Int], _ type: ElementType, _ what: String) throws(FormatError) {
    guard shape.count <= Limits.rankOfTensorMax else {
        throw .unsupported(
            at: 0, "\(what): \(shape.count) dimensions, more than \(Limits.rankOfTensorMax)")
    }
    guard isComputable(shape, type) else {
        throw .damage(at: 0, "\(what): \(shown(shape)) is not a valid shape: its size overflows")
    }
}

internal import CheckpointFormat

/// Extents or strides from a file, short enough for a message.
func shown(_ numbers: [Int]) -> String {
    numbers.count <= 16 ? "\(numbers)" : "[" + numbers.prefix(16).map(String.init).joined(separator: ", ") + ", ...]"
}

/// Whether a size in bytes fits 63 bits also where an extent of 0 is left out: numpy and the safetensors library multiply from the first
/// extent on, and refuse what overflows on the way.
func isComputable(_ shape: [Int], _ type: ElementType) -> Bool { TensorShape.byteCount(shape.filter { $0 != 0 }, type) != nil }

/// Refuses shapes that no tensor here can have, or that the format's own library refuses.
func checkShape(_ shape: [Int], _ type: ElementType, _ what: String) throws(FormatError) {
    guard shape.count <= Limits.rankOfTensorMax else {
        throw .unsupported(at: 0, "\(what): \(shape.count) dimensions, more than \(Limits.rankOfTensorMax)")
    }
    guard isComputable(shape, type) else { throw .damage(at: 0, "\(what): \(shown(shape)) is no shape: its size overflows") }
}

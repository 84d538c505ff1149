internal import CheckpointFormat
internal import CheckpointState

/// Strictness of a restore about the element types of tensors.
public enum RestoreTypes: Sendable {
    /// A tensor of the state has the type of the tensor in the checkpoint.
    case exact
    /// A tensor of `f64`, `f32`, `f16` or `bf16` is converted to the state's type, if that is
    /// another one of them: to the nearest value, ties to even, and to infinity beyond the largest.
    /// A conversion from `f64` to `f16` or `bf16` rounds to `f32` first, as in PyTorch. The report
    /// lists the tensors, and counts the elements that became infinite. Other types must be the
    /// same.
    case convertFloats

    /// Returns the conversion that is allowed from one type to another; nil if there is none, or
    /// none is needed.
    func conversion(from saved: ElementType?, to type: ElementType) -> FloatConversion? {
        guard self == .convertFloats, let saved else { return nil }
        return FloatConversion(from: saved, to: type)
    }
}

public import CheckpointFormat

/// A Swift type that corresponds to an element type of tensors, with the same bytes.
public protocol TensorScalar: BitwiseCopyable, Sendable {
    /// The element type.
    static var elementType: ElementType { get }
}

extension Double: TensorScalar {
    /// `f64`.
    public static var elementType: ElementType { .f64 }
}
extension Float: TensorScalar {
    /// `f32`.
    public static var elementType: ElementType { .f32 }
}
#if !(os(macOS) && arch(x86_64))
    extension Float16: TensorScalar {
        /// `f16`.
        public static var elementType: ElementType { .f16 }
    }
#endif
extension Int64: TensorScalar {
    /// `i64`.
    public static var elementType: ElementType { .i64 }
}
extension Int32: TensorScalar {
    /// `i32`.
    public static var elementType: ElementType { .i32 }
}
extension Int16: TensorScalar {
    /// `i16`.
    public static var elementType: ElementType { .i16 }
}
extension Int8: TensorScalar {
    /// `i8`.
    public static var elementType: ElementType { .i8 }
}
extension UInt64: TensorScalar {
    /// `u64`.
    public static var elementType: ElementType { .u64 }
}
extension UInt32: TensorScalar {
    /// `u32`.
    public static var elementType: ElementType { .u32 }
}
extension UInt16: TensorScalar {
    /// `u16`.
    public static var elementType: ElementType { .u16 }
}
extension UInt8: TensorScalar {
    /// `u8`.
    public static var elementType: ElementType { .u8 }
}
extension Bool: TensorScalar {
    /// `bool`.
    public static var elementType: ElementType { .bool }
}

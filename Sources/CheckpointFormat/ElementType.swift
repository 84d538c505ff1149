/// The type of a tensor's elements (Formats/manifest.md, Element types).
public enum ElementType: String, Sendable, CaseIterable, Hashable {
    case f64, f32, f16, bf16, f8e4m3, f8e5m2
    case i64, i32, i16, i8, u64, u32, u16, u8
    case bool
    case c128, c64, c32, bc32
    case f8e8m0, f8e4m3fnuz, f8e5m2fnuz, f8e4m3b11fnuz, f8e4m3ieee, f8e3m4
    case f6e2m3, f6e3m2, f4e2m1
    case i4, u4, i2, u2, i1, u1

    /// Number of bits of one element: 1, 2, 4 or 6 for types that are packed, otherwise a multiple
    /// of 8.
    public var bits: Int {
        switch self {
        case .c128: 128
        case .f64, .i64, .u64, .c64: 64
        case .f32, .i32, .u32, .c32, .bc32: 32
        case .f16, .bf16, .i16, .u16: 16
        case .f8e4m3, .f8e5m2, .i8, .u8, .bool, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .f8e4m3b11fnuz,
            .f8e4m3ieee, .f8e3m4:
            8
        case .f6e2m3, .f6e3m2: 6
        case .f4e2m1, .i4, .u4: 4
        case .i2, .u2: 2
        case .i1, .u1: 1
        }
    }

    /// Width in bytes of one element, or of a packed type the smallest number of bytes that holds
    /// only whole elements, of which there are `elementsPerUnit`: 1, 2, 3, 4, 8 or 16.
    public var width: Int {
        switch self {
        case .f6e2m3, .f6e3m2: 3
        default: max(bits / 8, 1)
        }
    }

    /// Number of elements in `width` bytes: 1, or more for packed types.
    public var elementsPerUnit: Int { width * 8 / bits }

    /// Returns the size of elements in bytes.
    ///
    /// - Parameter count: Number of elements, a multiple of `elementsPerUnit`. The product with
    ///   `width` must not overflow.
    package func bytes(ofElements count: Int) -> Int { count / elementsPerUnit * width }

    /// Number of the type in compact encodings and in the C interface.
    package var code: UInt8 {
        switch self {
        case .f64: 1
        case .f32: 2
        case .f16: 3
        case .bf16: 4
        case .f8e4m3: 5
        case .f8e5m2: 6
        case .i64: 7
        case .i32: 8
        case .i16: 9
        case .i8: 10
        case .u64: 11
        case .u32: 12
        case .u16: 13
        case .u8: 14
        case .bool: 15
        case .c128: 16
        case .c64: 17
        case .c32: 18
        case .bc32: 19
        case .f8e8m0: 20
        case .f8e4m3fnuz: 21
        case .f8e5m2fnuz: 22
        case .f8e4m3b11fnuz: 23
        case .f8e4m3ieee: 24
        case .f8e3m4: 25
        case .f6e2m3: 26
        case .f6e3m2: 27
        case .f4e2m1: 28
        case .i4: 29
        case .u4: 30
        case .i2: 31
        case .u2: 32
        case .i1: 33
        case .u1: 34
        }
    }

    /// True if a manifest that has a tensor of this type needs feature `types`.
    package var needsFeature: Bool { code > Self.bool.code }

    /// Type of the parts of a complex number; nil for all other types.
    package var complexPart: ElementType? {
        switch self {
        case .c128: .f64
        case .c64: .f32
        case .c32: .f16
        case .bc32: .bf16
        default: nil
        }
    }
}

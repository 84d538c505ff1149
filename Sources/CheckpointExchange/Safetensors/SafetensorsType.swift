package import CheckpointFormat

extension ElementType {
    /// The name of the element type in safetensors (its documentation, "Format"); nil if
    /// safetensors does not have the type.
    package var safetensorsName: String? {
        switch self {
        case .f64: "F64"
        case .f32: "F32"
        case .f16: "F16"
        case .bf16: "BF16"
        case .f8e4m3: "F8_E4M3"
        case .f8e5m2: "F8_E5M2"
        case .i64: "I64"
        case .i32: "I32"
        case .i16: "I16"
        case .i8: "I8"
        case .u64: "U64"
        case .u32: "U32"
        case .u16: "U16"
        case .u8: "U8"
        case .bool: "BOOL"
        case .c64: "C64"
        case .f8e8m0: "F8_E8M0"
        case .f8e4m3fnuz: "F8_E4M3FNUZ"
        case .f8e5m2fnuz: "F8_E5M2FNUZ"
        case .f6e2m3: "F6_E2M3"
        case .f6e3m2: "F6_E3M2"
        case .f4e2m1: "F4"
        case .c128, .c32, .bc32, .f8e4m3b11fnuz, .f8e4m3ieee, .f8e3m4, .i4, .u4, .i2, .u2, .i1, .u1:
            nil
        }
    }

    package init?(safetensorsName name: String) {
        guard let type = Self.allCases.first(where: { $0.safetensorsName == name }) else {
            return nil
        }
        self = type
    }
}

/// Element types of safetensors by name.
package enum SafetensorsType {
    /// Position of tensors of a type in a file that the safetensors library writes: the reverse of
    /// its enumeration, which has the widest types last. Types that it does not have come last.
    static func rank(_ name: String) -> Int { order.firstIndex(of: name) ?? order.count }

    private static let order = [
        "U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "F8_E5M2FNUZ",
        "F8_E4M3FNUZ", "F8_E8M0", "F8_E4M3", "F8_E5M2", "I8", "U8", "F6_E3M2", "F6_E2M3", "F4",
        "BOOL",
    ]
}

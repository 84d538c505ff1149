package import CheckpointFormat

extension ElementType {
    /// The name of the element type in safetensors (its documentation, "Format").
    package var safetensorsName: String {
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
        }
    }

    init?(safetensorsName name: String) {
        guard let type = Self.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
        self = type
    }

    /// Position of tensors of this type in a file that the safetensors library writes: the widest
    /// types first, and types of one width in the order of its enumeration.
    var safetensorsRank: Int {
        let order: [ElementType] = [
            .u64, .i64, .f64, .f32, .u32, .i32, .bf16, .f16, .u16, .i16, .f8e4m3, .f8e5m2, .i8, .u8, .bool,
        ]
        return order.firstIndex(of: self) ?? order.count
    }
}

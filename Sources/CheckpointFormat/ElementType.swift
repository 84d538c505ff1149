/// The type of a tensor's elements (Formats/manifest.md, Element types).
public enum ElementType: String, Sendable, CaseIterable, Hashable {
    case f64, f32, f16, bf16, f8e4m3, f8e5m2
    case i64, i32, i16, i8, u64, u32, u16, u8
    case bool

    /// Width of one element in bytes: 1, 2, 4 or 8.
    public var width: Int {
        switch self {
        case .f64, .i64, .u64: 8
        case .f32, .i32, .u32: 4
        case .f16, .bf16, .i16, .u16: 2
        case .f8e4m3, .f8e5m2, .i8, .u8, .bool: 1
        }
    }

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
        }
    }
}

/// Role of a tensor in the training loop.
public enum TensorRole: String, Sendable, CaseIterable, Hashable {
    case parameter, optimizer, buffer, other
}

/// Role of an object in the training loop. `ckpt inspect` uses the roles to decide whether a
/// checkpoint has all that a resume needs.
public enum ObjectRole: String, Sendable, CaseIterable, Hashable {
    case rng, data, schedule, optimizer, config, other
}

/// Encoding of an object's bytes.
public enum ObjectEncoding: String, Sendable, CaseIterable, Hashable {
    /// UTF-8 JSON.
    case json
    /// Bytes in a form that only the training program knows.
    case bytes
}

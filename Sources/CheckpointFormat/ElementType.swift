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

    /// The number by which compact encodings and the C interface know the type.
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

/// What a tensor is to the training loop.
public enum TensorRole: String, Sendable, CaseIterable, Hashable {
    case parameter, optimizer, buffer, other
}

/// What an object is to the training loop; `ckpt inspect` tells from these whether a checkpoint suffices to resume.
public enum ObjectRole: String, Sendable, CaseIterable, Hashable {
    case rng, data, schedule, optimizer, config, other
}

/// How an object's bytes are to be read.
public enum ObjectEncoding: String, Sendable, CaseIterable, Hashable {
    /// UTF-8 JSON.
    case json
    /// The program's own.
    case bytes
}

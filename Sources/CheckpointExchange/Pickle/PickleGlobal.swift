internal import CheckpointFormat

/// The global names that a pickle may use, as data: a name becomes a case of this enumeration, and
/// never anything that runs. All other names are refused.
enum PickleGlobal: Hashable, Sendable {
    case orderedDict, set, bytes
    case tensor, tensorOfType, parameter
    case storage(ElementType), untypedStorage
    case dtype(ElementType), otherType(String)
    case size, device, layout, path
    case distributed(Distributed)

    /// Classes of `torch.distributed.checkpoint`.
    enum Distributed: String, CaseIterable, Sendable {
        case metadata = "Metadata"
        case tensor = "TensorStorageMetadata"
        case bytes = "BytesStorageMetadata"
        case chunk = "ChunkStorageMetadata"
        case index = "MetadataIndex"
        case properties = "TensorProperties"
        case memoryFormat = "_MEM_FORMAT_ENCODING"
        case storageInfo = "_StorageInfo"
        case storageMeta = "StorageMeta"
    }

    init?(module: String, name: String) {
        guard let known = Self.table[module + " " + name] ?? Self.torchName(module, name) else { return nil }
        self = known
    }

    private static let table: [String: PickleGlobal] = {
        var table: [String: PickleGlobal] = [
            "collections OrderedDict": .orderedDict, "builtins set": .set, "__builtin__ set": .set, "builtins frozenset": .set,
            "__builtin__ frozenset": .set, "_codecs encode": .bytes, "torch._utils _rebuild_tensor_v2": .tensor,
            "torch._utils _rebuild_tensor_v3": .tensorOfType, "torch._utils _rebuild_parameter": .parameter, "torch Size": .size,
            "torch device": .device, "torch.serialization _get_layout": .layout, "pathlib PosixPath": .path, "pathlib Path": .path,
            "pathlib PurePosixPath": .path, "torch.storage UntypedStorage": .untypedStorage,
        ]
        for kind in Distributed.allCases {
            let module = kind == .storageInfo ? "filesystem" : "metadata"
            table["torch.distributed.checkpoint.\(module) \(kind.rawValue)"] = .distributed(kind)
        }
        return table
    }()

    private static func torchName(_ module: String, _ name: String) -> PickleGlobal? {
        guard module == "torch" || module == "torch.storage" else { return nil }
        if let type = storages[name] { return .storage(type) }
        guard module == "torch" else { return nil }
        if let type = types[name] { return .dtype(type) }
        return otherTypes.contains(name) ? .otherType(name) : nil
    }

    private static let storages: [String: ElementType] = [
        "DoubleStorage": .f64, "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16, "LongStorage": .i64, "IntStorage": .i32,
        "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8, "BoolStorage": .bool,
    ]

    private static let types: [String: ElementType] = [
        "float64": .f64, "float32": .f32, "float16": .f16, "bfloat16": .bf16, "float8_e4m3fn": .f8e4m3, "float8_e5m2": .f8e5m2,
        "int64": .i64, "int32": .i32, "int16": .i16, "int8": .i8, "uint64": .u64, "uint32": .u32, "uint16": .u16, "uint8": .u8,
        "bool": .bool,
    ]

    /// Types that a pickle may mention, but that no tensor can have here.
    private static let otherTypes: Set<String> = [
        "complex32", "complex64", "complex128", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "quint8", "qint8", "qint32",
        "quint4x2", "quint2x4", "ComplexFloatStorage", "ComplexDoubleStorage", "QUInt8Storage", "QInt8Storage", "QInt32Storage",
        "strided", "sparse_coo", "contiguous_format", "preserve_format",
    ]

    /// The name as PyTorch prints it.
    var name: String {
        switch self {
        case .dtype(let type): "torch." + (Self.types.first { $0.value == type }?.key ?? type.rawValue)
        case .otherType(let name): "torch." + name
        case .storage(let type): "torch." + (Self.storages.first { $0.value == type }?.key ?? type.rawValue)
        case .distributed(let kind): kind.rawValue
        default: "\(self)"
        }
    }

    /// True if `REDUCE` may call the name, which makes a node of the arguments.
    var isCallable: Bool {
        switch self {
        case .orderedDict, .set, .bytes, .tensor, .tensorOfType, .parameter, .size, .device, .layout, .path,
            .distributed(.memoryFormat):
            true
        default: false
        }
    }
}

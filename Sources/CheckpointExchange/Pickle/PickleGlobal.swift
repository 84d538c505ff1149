internal import CheckpointFormat

/// The global names that a pickle may use, as data: a name becomes a case of this enumeration, and
/// never anything that runs. They are those that PyTorch admits with `weights_only=True`
/// (torch/_weights_only_unpickler.py), and a few that hold only data. All other names are foreign:
/// what is made with them is refused or left out.
enum PickleGlobal: Hashable, Sendable {
    case orderedDict, counter, defaultDict, set, bytes, byteArray, complex
    /// Functions that make a tensor of a storage, with more and more arguments.
    case oldTensor, tensor, tensorOfType
    /// Functions that wrap a tensor, which is the first argument.
    case parameter, parameterWithState, tensorOnDevice
    case tensorWithState, quantizedTensor, sparseTensor, metaTensor
    case numpyArray, numpyScalar, numpyType, numpyClass
    case storage(ElementType)
    case untypedStorage
    case dtype(ElementType)
    case otherType(String)
    case size, device, layout, path
    /// A type of Python, such as the one that a `defaultdict` makes.
    case builtin(String)
    case distributed(Distributed)
    /// `getattr`, with which Python 3.11 pickles a member of an enumeration; as `module.name`.
    case attribute(String)
    /// Any other name, as `module.name`.
    case foreign(String)

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
        guard let known = Self.table[module + " " + name] ?? Self.torchName(module, name) else {
            return nil
        }
        self = known
    }

    private static let table: [String: PickleGlobal] = {
        var table: [String: PickleGlobal] = [
            "collections OrderedDict": .orderedDict, "collections Counter": .counter,
            "collections defaultdict": .defaultDict,
            "_codecs encode": .bytes, "torch Size": .size, "torch device": .device,
            "torch.serialization _get_layout": .layout,
            "pathlib PosixPath": .path, "pathlib Path": .path, "pathlib PurePosixPath": .path,
            "torch.storage UntypedStorage": .untypedStorage, "torch Tensor": .otherType("Tensor"),
            "torch.nn.parameter Parameter": .otherType("nn.Parameter"),
            "torch.nn.parameter Buffer": .otherType("nn.Buffer"),
            "torch._tensor _rebuild_from_type_v2": .tensorWithState, "numpy ndarray": .numpyClass,
            "numpy dtype": .numpyType,
        ]
        let functions: [String: PickleGlobal] = [
            "_rebuild_tensor": .oldTensor, "_rebuild_tensor_v2": .tensor,
            "_rebuild_tensor_v3": .tensorOfType,
            "_rebuild_parameter": .parameter, "_rebuild_parameter_with_state": .parameterWithState,
            "_rebuild_device_tensor_from_cpu_tensor": .tensorOnDevice,
            "_rebuild_qtensor": .quantizedTensor,
            "_rebuild_sparse_tensor": .sparseTensor, "_rebuild_meta_tensor_no_storage": .metaTensor,
        ]
        for (name, global) in functions { table["torch._utils " + name] = global }
        for module in ["builtins", "__builtin__"] {
            table[module + " set"] = .set
            table[module + " frozenset"] = .set
            table[module + " bytearray"] = .byteArray
            table[module + " complex"] = .complex
            table[module + " getattr"] = .attribute(module + ".getattr")
            for name in ["dict", "list", "tuple", "int", "float", "str", "bool"] {
                table[module + " " + name] = .builtin(name)
            }
        }
        for module in ["numpy.core.multiarray", "numpy._core.multiarray"] {
            table[module + " _reconstruct"] = .numpyArray
            table[module + " scalar"] = .numpyScalar
        }
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

    /// Types of quantized storages are those of their integers.
    private static let storages: [String: ElementType] = [
        "DoubleStorage": .f64, "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16,
        "LongStorage": .i64, "IntStorage": .i32,
        "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8, "BoolStorage": .bool,
        "ComplexFloatStorage": .c64,
        "ComplexDoubleStorage": .c128, "QInt8Storage": .i8, "QUInt8Storage": .u8,
        "QInt32Storage": .i32,
    ]

    private static let types: [String: ElementType] = [
        "float64": .f64, "float32": .f32, "float16": .f16, "bfloat16": .bf16,
        "float8_e4m3fn": .f8e4m3, "float8_e5m2": .f8e5m2,
        "int64": .i64, "int32": .i32, "int16": .i16, "int8": .i8, "uint64": .u64, "uint32": .u32,
        "uint16": .u16, "uint8": .u8,
        "bool": .bool, "complex32": .c32, "complex64": .c64, "complex128": .c128,
        "float8_e4m3fnuz": .f8e4m3fnuz,
        "float8_e5m2fnuz": .f8e5m2fnuz, "float8_e8m0fnu": .f8e8m0, "float4_e2m1fn_x2": .f4e2m1,
    ]

    /// Types that a pickle may mention, but that no tensor can have here.
    private static let otherTypes: Set<String> = {
        var names: Set<String> = [
            "quint8", "qint8", "qint32", "quint4x2", "quint2x4", "bits8", "bits16", "bits1x8",
            "bits2x4", "bits4x2", "strided",
            "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc",
            "contiguous_format", "preserve_format",
            "channels_last", "channels_last_3d", "per_tensor_affine", "per_tensor_symmetric",
            "per_channel_affine",
            "per_channel_symmetric", "per_channel_affine_float_qparams", "QUInt4x2Storage",
            "QUInt2x4Storage",
        ]
        for bits in 1...7 { names.formUnion(["int\(bits)", "uint\(bits)"]) }
        return names
    }()

    /// The name as PyTorch prints it.
    var name: String {
        switch self {
        case .dtype(let type):
            "torch." + (Self.types.first { $0.value == type }?.key ?? type.rawValue)
        case .otherType(let name): "torch." + name
        case .storage(let type):
            "torch." + (Self.storages.first { $0.value == type }?.key ?? type.rawValue)
        case .distributed(let kind): kind.rawValue
        case .foreign(let name), .builtin(let name), .attribute(let name): name
        case .numpyClass: "numpy.ndarray"
        case .numpyType: "numpy.dtype"
        default: "\(self)"
        }
    }

    /// True for the functions that make or wrap a tensor.
    var makesTensor: Bool {
        switch self {
        case .oldTensor, .tensor, .tensorOfType, .quantizedTensor: true
        default: wrapsTensor
        }
    }

    /// True for the functions that wrap a tensor.
    var wrapsTensor: Bool {
        switch self {
        case .parameter, .parameterWithState, .tensorOnDevice, .tensorWithState: true
        default: false
        }
    }

    /// True if `REDUCE` may call the name, which makes a node of the arguments.
    var isCallable: Bool {
        switch self {
        case .storage, .untypedStorage, .dtype, .otherType, .builtin, .numpyClass, .foreign: false
        case .distributed(let kind): kind == .memoryFormat
        default: true
        }
    }
}

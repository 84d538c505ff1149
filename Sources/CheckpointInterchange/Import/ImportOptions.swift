public import CheckpointCodecs
internal import CheckpointExchange
public import CheckpointFormat
public import CheckpointStorage

/// Options of an import.
public struct ImportOptions: Sendable {
    /// The format of the files.
    public enum Format: Sendable, Equatable {
        /// Decided for each file by its content.
        case auto
        /// safetensors: a file, a directory, or an index of shards.
        case safetensors
        /// One NumPy array.
        case npy
        /// An archive of NumPy arrays.
        case npz
        /// A file of `torch.save`.
        case pt
        /// A directory of `torch.distributed.checkpoint`.
        case dcp
        /// Raw little-endian, row-major elements: one file, one tensor.
        case raw(name: String, type: ElementType, shape: [Int])
    }

    /// The checkpoint's step; nil means the step that the files name, or 0 if they name none.
    public var step: Int?
    /// Name of the checkpoint's run; nil means the name of the first file, without its
    /// extension.
    public var run: String?
    /// The checkpoint's metrics.
    public var metrics: [String: Double] = [:]
    /// Effort of compression.
    public var compression = Compression.auto
    /// Roles of tensors; the first pattern that matches decides. Without a match, the usual names
    /// of optimizer state, buffers and the states of random number generators in PyTorch and other
    /// programs decide; all other tensors are parameters.
    public var roles: [(pattern: NamePattern, role: TensorRole)] = []
    /// The format of the files.
    public var format = Format.auto
    /// True to leave out entries that are neither tensors nor plain values; false to refuse a file
    /// that has one. No code is called in either case.
    public var skipsObjects = false
    /// Type of the elements of NumPy arrays whose file does not state it, as ml_dtypes writes them;
    /// nil means `bf16` for 2 bytes and `u8` for 1.
    public var numpyElementType: ElementType?
    /// Stops the import, which then leaves no checkpoint and no files behind.
    public var cancellation = Cancellation()
    /// Called with the bytes read and written so far and their total: the files are read once for
    /// their digests, then their tensors are written. On this thread and the engine's.
    public var onProgress: (@Sendable (_ done: Int, _ total: Int) -> Void)?

    /// The defaults.
    public init() {}

    /// Returns the element type with a name of this library, such as `f8e4m3`, or of ml_dtypes,
    /// such as `float8_e4m3fn`.
    ///
    /// - Parameter name: the name.
    /// - Returns: nil if no type has it.
    public static func elementType(named name: String) -> ElementType? {
        ElementType(rawValue: name) ?? NumpyType.named(name)
    }
}

extension ImportOptions.Format {
    /// The format of the reader; nil if it is decided by content.
    var foreign: ForeignFormat? {
        switch self {
        case .auto: nil
        case .safetensors: .safetensors
        case .npy: .npy
        case .npz: .npz
        case .pt: .pt
        case .dcp: .dcp
        case .raw: .raw
        }
    }
}

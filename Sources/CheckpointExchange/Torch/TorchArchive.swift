internal import CheckpointFormat
internal import CheckpointState
internal import SystemPackage

/// A file of `torch.save` (torch/serialization.py): a zip archive of a pickle and one entry for
/// each storage, which several tensors may share.
final class TorchArchive {
    let pickle: Pickle
    private let file: ForeignFile
    private let spill: Spill
    /// Storages by the bytes of their keys: Swift treats strings as equal if they differ only in
    /// how an accented letter is composed.
    private let storages: [[UInt8]: ZipArchive.Entry]

    /// Returns whether an archive was written by `torch.save`, complete or not. `data.pkl`
    /// identifies it; the other names are accepted because they are stored with it, and an
    /// interrupted save may lack `data.pkl`.
    static func isArchive(_ archive: ZipArchive) -> Bool {
        archive.entries.contains { entry in ["data.pkl", "byteorder", "version"].contains { isInFolder(entry.name, $0) } }
    }

    /// Returns whether a name is that of a file in the archive's single folder.
    private static func isInFolder(_ name: String, _ file: String) -> Bool {
        name.hasSuffix("/" + file) && name.utf8.count { $0 == UInt8(ascii: "/") } == 1
    }

    init(_ archive: ZipArchive, _ spill: Spill) throws(ExchangeError) {
        file = archive.file
        self.spill = spill
        let path = file.path.string
        let roots = archive.entries.filter { Self.isInFolder($0.name, "data.pkl") }
        if roots.isEmpty { throw .damage(path, "torch.save was interrupted: data.pkl is missing") }
        guard let root = roots.first, roots.count == 1 else { throw .damage(path, "it holds \(roots.count) pickles, not one") }
        let folder = Array(root.name.utf8.dropLast("data.pkl".utf8.count))
        let entries = Dictionary(archive.entries.map { (Array($0.name.utf8), $0) }, uniquingKeysWith: { first, _ in first })
        if entries[folder + "constants.pkl".utf8] != nil {
            throw .refused(path, "it is a TorchScript program", remedy: "Save its state_dict()")
        }
        if let order = entries[folder + "byteorder".utf8], try Self.bytes(order, file, atMost: 16) != Array("little".utf8) {
            throw .refused(path, "its elements are big-endian")
        }
        pickle = try Unpickler.read(Self.bytes(root, file, atMost: ExchangeLimits.pickleBytesMax), path)
        let data = folder + "data/".utf8
        let stored = entries.filter { $0.key.starts(with: data) }
        storages = Dictionary(uniqueKeysWithValues: stored.map { (Array($0.key.dropFirst(data.count)), $0.value) })
    }

    private static func bytes(
        _ entry: ZipArchive.Entry, _ file: ForeignFile, atMost limit: Int
    ) throws(ExchangeError) -> [UInt8] {
        guard entry.size <= limit else { throw .refused(file.path.string, "entry \(quoted(entry.name)) of \(entry.size) bytes") }
        guard entry.isDeflated else { return try file.read(count: entry.range.count, at: entry.range.lowerBound) }
        let inflater = try Inflater(entry, of: file)
        var bytes: [UInt8] = []
        // The declared size is not trusted.
        bytes.reserveCapacity(min(entry.size, (min(entry.range.count, limit) + 64) * ExchangeLimits.deflateRatioMax))
        while true {
            let next = try inflater.next(1 << 20)
            if next.isEmpty { return bytes }
            bytes += next
        }
    }

    /// Returns whether a value is a tensor, or a parameter, which wraps a tensor.
    func isTensor(_ value: Pickle.Value) -> Bool {
        switch pickle.node(value)?.kind {
        case .call(.tensor), .call(.tensorOfType), .call(.parameter): true
        default: false
        }
    }

    /// A tensor with its type, shape and strides, as the file stores it.
    private struct Strided {
        var type: ElementType
        var shape: [Int]
        var strides: [Int]
        var byteOffset: Int
        var memory: FileMemory
    }

    /// Returns a tensor of the pickle.
    ///
    /// - Parameters:
    ///   - name: name for the tensor.
    ///   - value: a value for which `isTensor` is true.
    /// - Returns: the tensor; its elements stay in the file.
    /// - Throws: `ExchangeError` if the tensor is damaged or not supported.
    func tensor(_ name: String, _ value: Pickle.Value) throws(ExchangeError) -> ForeignTensor {
        let found = try strided(name, value)
        return try ForeignTensor(
            name, found.type, found.shape, strides: found.strides, byteOffset: found.byteOffset, in: found.memory)
    }

    /// Returns the bytes of a tensor that is row-major and without gaps.
    ///
    /// - Parameters:
    ///   - name: name of the tensor, for messages.
    ///   - value: a value for which `isTensor` is true.
    /// - Returns: the byte range of the file; nil if the tensor has another layout.
    /// - Throws: `ExchangeError` if the tensor is damaged or not supported.
    func rowMajorMemory(_ name: String, _ value: Pickle.Value) throws(ExchangeError) -> FileMemory? {
        // Also checks that the elements are inside the storage.
        let bytes = try tensor(name, value).view.byteCount
        let found = try strided(name, value)
        let rows = TensorShape.rowMajorStrides(found.shape)
        let isRowMajor = found.shape.indices.allSatisfy { found.shape[$0] == 1 || found.strides[$0] == rows[$0] }
        guard isRowMajor else { return nil }
        let start = found.memory.range.lowerBound + found.byteOffset
        return found.memory.file.lend(start..<start + bytes)
    }

    private func strided(_ name: String, _ value: Pickle.Value) throws(ExchangeError) -> Strided {
        guard let node = pickle.node(value) else { throw pickle.error("tensor \(quoted(name)) is none") }
        if node.kind == .call(.parameter) {
            guard let data = node.items.first, pickle.node(data)?.kind != .call(.parameter), isTensor(data) else {
                throw pickle.error("parameter \(quoted(name)) is no tensor")
            }
            return try strided(name, data)
        }
        let hasType = node.kind == .call(.tensorOfType)
        guard (hasType ? 7...8 : 6...7).contains(node.items.count) else { throw pickle.error("tensor \(quoted(name)) has too few parts") }
        let type = hasType ? try type(node.items[6], name) : nil
        try checkMetadata(node.items.dropFirst(hasType ? 7 : 6).first, name)
        let (memory, elementType) = try storage(node.items[0], type, name)
        let shape = try pickle.integers(node.items[2], "the size of tensor \(quoted(name))")
        let offset = try pickle.integer(node.items[1], "the offset of tensor \(quoted(name))")
        let (byteOffset, isHuge) = offset.multipliedReportingOverflow(by: elementType.width)
        guard offset >= 0, !isHuge else { throw pickle.error("tensor \(quoted(name)) begins at \(offset)") }
        let strides = try pickle.integers(node.items[3], "the strides of tensor \(quoted(name))")
        return Strided(type: elementType, shape: shape, strides: strides, byteOffset: byteOffset, memory: memory)
    }

    /// Refuses marks on a tensor that change the meaning of its bytes.
    private func checkMetadata(_ metadata: Pickle.Value?, _ name: String) throws(ExchangeError) {
        switch metadata {
        case nil, .some(.none): return
        default:
            if let node = pickle.node(metadata), node.kind == .dictionary, node.items.isEmpty { return }
            throw .refused(file.path.string, "tensor \(quoted(name)) is a view that negates or conjugates", remedy: "Save it resolved")
        }
    }

    private func type(_ value: Pickle.Value, _ name: String) throws(ExchangeError) -> ElementType {
        switch value {
        case .global(.dtype(let type)), .global(.storage(let type)): return type
        case .global(let global):
            throw .refused(file.path.string, "tensor \(quoted(name)): element type \(global.name) is not known here")
        default: throw pickle.error("tensor \(quoted(name)) has no element type")
        }
    }

    /// Resolves a reference `('storage', type, key, location, count)`.
    private func storage(
        _ value: Pickle.Value, _ given: ElementType?, _ name: String
    ) throws(ExchangeError) -> (FileMemory, ElementType) {
        guard let node = pickle.node(value), node.kind == .persistent, let parts = pickle.node(node.items.first), parts.kind == .tuple,
            parts.items.count == 5, try pickle.string(parts.items[0], "a kind of reference") == "storage"
        else { throw pickle.error("tensor \(quoted(name)) has no storage") }
        var isUntyped = false
        if case .global(.untypedStorage) = parts.items[1] { isUntyped = true }
        let stored = isUntyped ? .u8 : try type(parts.items[1], name)
        guard let type = given ?? (isUntyped ? nil : stored) else { throw pickle.error("tensor \(quoted(name)) has no element type") }
        let key = try pickle.string(parts.items[2], "the key of a storage")
        let count = try pickle.integer(parts.items[4], "the size of a storage")
        guard let bytes = TensorShape.byteCount([count], stored) else { throw pickle.error("storage \(quoted(key)) has \(count) elements") }
        return (try memory(key, bytes), type)
    }

    private func memory(_ key: String, _ bytes: Int) throws(ExchangeError) -> FileMemory {
        guard let entry = storages[Array(key.utf8)] else { throw .damage(file.path.string, "storage \(quoted(key)) is missing") }
        guard entry.size == bytes else {
            throw .damage(file.path.string, "storage \(quoted(key)) has \(entry.size) bytes, and the pickle says \(bytes)")
        }
        return entry.isDeflated ? try spill.inflate(entry, of: file) : file.lend(entry.range)
    }
}

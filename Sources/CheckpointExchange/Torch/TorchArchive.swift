internal import CheckpointFormat
internal import CheckpointState
internal import SystemPackage

/// A file of `torch.save` (torch/serialization.py): a pickle, and storages, which several tensors
/// may share. Since PyTorch 1.6 they are the entries of a zip archive; before, they followed each
/// other in the file.
final class TorchArchive {
    /// Place of the bytes of a storage.
    private enum Place {
        case entry(ZipArchive.Entry)
        case range(Range<Int>)

        var byteCount: Int {
            switch self {
            case .entry(let entry): entry.size
            case .range(let range): range.count
            }
        }
    }

    let pickle: Pickle
    private let file: ForeignFile
    private let spill: Spill
    /// Storages by their keys.
    private let storages: [ByteName: Place]

    /// Returns whether an archive was written by `torch.save`, complete or not. `data.pkl`
    /// identifies it; the other names are accepted because they are stored with it, and an
    /// interrupted save may lack `data.pkl`.
    static func isArchive(_ archive: ZipArchive) -> Bool {
        archive.entries.contains { entry in
            ["data.pkl", "byteorder", "version"].contains { isInFolder(entry.name, $0) }
        }
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
        guard let root = roots.first, roots.count == 1 else {
            throw .damage(path, "it contains \(roots.count) pickles, not one")
        }
        let folder = String(Substring(root.name.utf8.dropLast("data.pkl".utf8.count)))
        let entries = Dictionary(
            archive.entries.map { (ByteName($0.name), $0) },
            uniquingKeysWith: { first, _ in first })
        if entries[ByteName(folder + "constants.pkl")] != nil {
            throw .refused(
                path, "it is a TorchScript program",
                remedy: "Save its state_dict() with torch.save, and import that")
        }
        if let order = entries[ByteName(folder + "byteorder")],
            try Self.bytes(order, file, atMost: 16) != Array("little".utf8)
        {
            throw .refused(path, "its elements are big-endian")
        }
        let text = try Self.bytes(root, file, atMost: ExchangeLimits.pickleBytesMax)
        pickle = try Unpickler.read(text, path, keepsForeign: true)
        let data = (folder + "data/").utf8
        let stored = entries.values.filter { $0.name.utf8.starts(with: data) }
        storages = Dictionary(
            uniqueKeysWithValues: stored.map {
                (ByteName(Substring($0.name.utf8.dropFirst(data.count))), .entry($0))
            })
    }

    /// Opens a file of `torch.save` from before PyTorch 1.6.
    ///
    /// - Parameters:
    ///   - legacy: the pickles and the places of the storages.
    ///   - file: the file.
    ///   - spill: not used, because nothing is compressed.
    init(_ legacy: TorchLegacyFile, _ file: ForeignFile, _ spill: Spill) {
        self.file = file
        self.spill = spill
        pickle = legacy.pickle
        storages = legacy.storages.mapValues { .range($0) }
    }

    private static func bytes(
        _ entry: ZipArchive.Entry, _ file: ForeignFile, atMost limit: Int
    ) throws(ExchangeError) -> [UInt8] {
        guard entry.size <= limit else {
            throw .refused(
                file.path.string,
                "entry \(quoted(entry.name)) has \(entry.size) bytes, more than \(limit)")
        }
        guard entry.isDeflated else {
            return try file.read(count: entry.range.count, at: entry.range.lowerBound)
        }
        let inflater = try Inflater(entry, of: file)
        var bytes: [UInt8] = []
        // The declared size is not trusted.
        bytes.reserveCapacity(
            min(entry.size, (min(entry.range.count, limit) + 64) * ExchangeLimits.deflateRatioMax))
        while true {
            let next = try inflater.next(1 << 20)
            if next.isEmpty { return bytes }
            bytes += next
        }
    }

    /// Returns whether a value is a tensor, or wraps a tensor, as a parameter does.
    func isTensor(_ value: Pickle.Value) -> Bool {
        guard case .call(let global)? = pickle.node(value)?.kind else { return false }
        return global.makesTensor
    }

    /// Returns the tensor that a value wraps, through any number of wrappers, and the attributes
    /// that the wrappers add.
    ///
    /// - Parameters:
    ///   - name: name of the tensor, for messages.
    ///   - value: a value for which `isTensor` is true.
    /// - Returns: the call that makes the tensor, and dictionaries of attributes.
    /// - Throws: `ExchangeError` if nothing or something else is wrapped.
    func unwrapped(_ name: String, _ value: Pickle.Value) throws(ExchangeError) -> (
        tensor: Pickle.Node, attributes: [Pickle.Value]
    ) {
        var (value, attributes) = (value, [Pickle.Value]())
        for _ in 0..<8 {
            guard let node = pickle.node(value), case .call(let global) = node.kind,
                global.makesTensor
            else {
                throw pickle.error("wrapper \(quoted(name)) does not contain a tensor")
            }
            guard global.wrapsTensor else { return (node, attributes) }
            if global == .tensorWithState {
                // The function and the arguments that make the tensor, and its class between them.
                if case .global(.foreign(let function))? = node.items.first {
                    throw .refused(
                        file.path.string,
                        "tensor \(quoted(name)) is made by \(function), which is not supported")
                }
                guard node.items.count == 4, case .global(let function) = node.items[0],
                    function.makesTensor,
                    let arguments = pickle.node(node.items[2]), arguments.kind == .tuple
                else {
                    throw pickle.error(
                        "tensor \(quoted(name)) is built from a value that is not a tensor")
                }
                attributes.append(node.items[3])
                guard function.wrapsTensor else {
                    return (Pickle.Node(kind: .call(function), items: arguments.items), attributes)
                }
                guard let inner = arguments.items.first else {
                    throw pickle.error("wrapper \(quoted(name)) does not contain a tensor")
                }
                value = inner
            } else {
                guard let inner = node.items.first else {
                    throw pickle.error("parameter \(quoted(name)) is not a tensor")
                }
                if global == .parameterWithState, let state = node.items.last, node.items.count == 4
                {
                    attributes.append(state)
                }
                value = inner
            }
        }
        throw pickle.error("tensor \(quoted(name)) is inside too many wrappers")
    }

    /// A tensor with its type, shape and strides, as the file stores it.
    private struct Strided {
        var type: ElementType
        var shape: [Int]
        var strides: [Int]
        var byteOffset: Int
        var memory: FileMemory
        var marks: SignedFile.Marks
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
        let tensor = try ForeignTensor(
            name, found.type, found.shape, strides: found.strides, byteOffset: found.byteOffset,
            in: found.memory)
        if found.marks == SignedFile.Marks() { return tensor }
        let path = file.path.string
        guard let signed = SignedFile(tensor.view, found.marks) else {
            throw .damage(
                path, "tensor \(quoted(name)) of \(found.type) is marked as conjugated or negated")
        }
        let view: TensorView
        do throws(StateError) { view = try signed.lend() } catch {
            throw .damage(path, "tensor \(quoted(name)): \(error)")
        }
        return try ForeignTensor(name, view, in: path)
    }

    /// Returns a storage that belongs to no tensor, as a tensor of one dimension.
    ///
    /// - Parameters:
    ///   - name: name for the tensor.
    ///   - value: the reference to the storage. A storage without a type has bytes.
    /// - Returns: the tensor; its elements stay in the file.
    /// - Throws: `ExchangeError` if the storage is damaged or of an unknown type.
    func tensor(
        _ name: String, ofStorage value: Pickle.Value
    ) throws(ExchangeError) -> ForeignTensor {
        let (memory, type) = try storage(value, nil, name, untyped: .u8)
        let units = memory.range.count / type.width
        return try ForeignTensor(name, type, [units * type.elementsPerUnit], in: memory)
    }

    private func strided(_ name: String, _ value: Pickle.Value) throws(ExchangeError) -> Strided {
        let node = try unwrapped(name, value).tensor
        // Behind offset, size and strides: of old tensors nothing; of others whether a gradient is
        // required, and hooks; then the element type, if the storage has none, and marks.
        let (counts, hasType): (ClosedRange<Int>, Bool) =
            switch node.kind {
            case .call(.oldTensor): (4...4, false)
            case .call(.tensorOfType): (7...8, true)
            case .call(.quantizedTensor): (7...7, false)
            default: (6...7, false)
            }
        guard counts.contains(node.items.count) else {
            throw pickle.error("tensor \(quoted(name)) has too few parts")
        }
        let type = hasType ? try type(node.items[6], name) : nil
        let isQuantized = node.kind == .call(.quantizedTensor)
        let marks = try marks(isQuantized ? nil : node.items.dropFirst(hasType ? 7 : 6).first, name)
        let (memory, elementType) = try storage(node.items[0], type, name)
        var shape = try pickle.integers(node.items[2], "the size of tensor \(quoted(name))")
        let offset = try pickle.integer(node.items[1], "the offset of tensor \(quoted(name))")
        let (byteOffset, isHuge) = offset.multipliedReportingOverflow(by: elementType.width)
        guard offset >= 0, !isHuge else {
            throw pickle.error("tensor \(quoted(name)) begins at element \(offset)")
        }
        var strides = try pickle.integers(node.items[3], "the strides of tensor \(quoted(name))")
        if elementType.elementsPerUnit > 1 { try unpack(&shape, &strides, elementType, name) }
        return Strided(
            type: elementType, shape: shape, strides: strides, byteOffset: byteOffset,
            memory: memory, marks: marks)
    }

    /// Converts sizes and strides of bytes to those of the elements packed in them. PyTorch counts
    /// a byte of two 4-bit numbers as one element.
    private func unpack(
        _ shape: inout [Int], _ strides: inout [Int], _ type: ElementType, _ name: String
    ) throws(ExchangeError) {
        guard strides == TensorShape.rowMajorStrides(shape), let last = shape.indices.last,
            case (let extent, false) = shape[last].multipliedReportingOverflow(
                by: type.elementsPerUnit)
        else {
            throw .refused(
                file.path.string, "tensor \(quoted(name)) of \(type) is not stored row by row",
                remedy: "Call .contiguous() on the tensor before saving it")
        }
        shape[last] = extent
        strides = TensorShape.rowMajorStrides(shape)
    }

    /// Returns the marks on a tensor that change the meaning of its bytes.
    private func marks(
        _ metadata: Pickle.Value?, _ name: String
    ) throws(ExchangeError) -> SignedFile.Marks {
        var marks = SignedFile.Marks()
        guard let metadata, pickle.node(metadata) != nil else { return marks }
        let members = try pickle.members(metadata, "the metadata of tensor \(quoted(name))")
        for (key, value) in members {
            switch (key, value) {
            case (_, .bool(false)): break
            case (.string("conj"), .bool(true)): marks.isConjugate = true
            case (.string("neg"), .bool(true)): marks.isNegative = true
            default:
                throw .refused(
                    file.path.string, "tensor \(quoted(name)) has unknown metadata",
                    remedy: "Call .resolve_conj().resolve_neg() on the tensor before saving it")
            }
        }
        return marks
    }

    private func type(_ value: Pickle.Value, _ name: String) throws(ExchangeError) -> ElementType {
        switch value {
        case .global(.dtype(let type)), .global(.storage(let type)): return type
        case .global(let global):
            throw .refused(
                file.path.string,
                "tensor \(quoted(name)): element type \(global.name) is unknown")
        default: throw pickle.error("tensor \(quoted(name)) has no element type")
        }
    }

    /// Resolves a reference `('storage', type, key, location, count)`.
    private func storage(
        _ value: Pickle.Value, _ given: ElementType?, _ name: String, untyped: ElementType? = nil
    ) throws(ExchangeError) -> (FileMemory, ElementType) {
        guard let node = pickle.node(value), node.kind == .persistent,
            let parts = pickle.node(node.items.first), parts.kind == .tuple,
            (5...6).contains(parts.items.count),
            try pickle.string(parts.items[0], "the kind of a reference") == "storage"
        else { throw pickle.error("tensor \(quoted(name)) has no storage") }
        var isUntyped = false
        if case .global(.untypedStorage) = parts.items[1] { isUntyped = true }
        let stored = isUntyped ? .u8 : try type(parts.items[1], name)
        guard let type = given ?? (isUntyped ? untyped : stored) else {
            throw pickle.error("tensor \(quoted(name)) has no element type")
        }
        let key = try pickle.string(parts.items[2], "the key of a storage")
        let count = try pickle.integer(parts.items[4], "the size of a storage")
        guard let bytes = TensorShape.byteCount([count], stored) else {
            throw pickle.error(
                "storage \(quoted(key)) has an invalid number of elements (\(count))")
        }
        let memory = try memory(key, bytes)
        // Before PyTorch 1.6 a storage could be a part of another one.
        guard let part = pickle.node(parts.items.dropFirst(5).first) else { return (memory, type) }
        guard part.items.count == 3,
            let start = TensorShape.byteCount(
                [try pickle.integer(part.items[1], "the offset of a storage")], stored),
            let length = TensorShape.byteCount(
                [try pickle.integer(part.items[2], "the size of a storage")], stored),
            start <= bytes, length <= bytes - start
        else { throw pickle.error("a view of storage \(quoted(key)) is not inside the storage") }
        let first = memory.range.lowerBound + start
        return (memory.file.lend(first..<first + length), type)
    }

    private func memory(_ key: String, _ bytes: Int) throws(ExchangeError) -> FileMemory {
        guard let place = storages[ByteName(key)] else {
            throw .damage(file.path.string, "storage \(quoted(key)) is missing")
        }
        guard place.byteCount == bytes else {
            throw .damage(
                file.path.string,
                "storage \(quoted(key)) has \(place.byteCount) bytes; the pickle states \(bytes)")
        }
        switch place {
        case .range(let range): return file.lend(range)
        case .entry(let entry):
            return entry.isDeflated ? try spill.inflate(entry, of: file) : file.lend(entry.range)
        }
    }
}

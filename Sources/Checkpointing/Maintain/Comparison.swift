public import CheckpointFormat
public import CheckpointState

/// How two checkpoints differ.
public struct CheckpointComparison: Sendable {
    /// What became of a tensor or an object.
    public enum Change: String, Sendable, CaseIterable {
        case equal, added, removed
        /// A tensor of another element type or shape, or an object of another encoding.
        case form
        /// Of the same form, with other bytes.
        case content
    }

    /// One tensor, in either checkpoint or in both.
    public struct Tensor: Sendable {
        /// The tensor's name.
        public var name: String
        /// What became of it.
        public var change: Change
        /// What it was; nil if it was added.
        public var before: Form?
        /// What it is; nil if it was removed.
        public var after: Form?
        /// By how much the elements differ, where that can be said.
        public var difference: ElementDifference?
    }

    /// What a tensor is, apart from its content.
    public struct Form: Sendable, Equatable {
        /// The element type.
        public var type: ElementType
        /// The extents.
        public var shape: [Int]
    }

    /// One object, in either checkpoint or in both.
    public struct Object: Sendable {
        /// The object's name.
        public var name: String
        /// What became of it.
        public var change: Change
        /// Whether both are JSON of the same value, whatever the order of keys and the spaces; nil if the bytes are equal
        /// or one of them is no JSON.
        public var isSameJSON: Bool?
    }

    /// In the order of the first checkpoint; then what was added, in the order of the second.
    public internal(set) var tensors: [Tensor] = []
    /// In the same order.
    public internal(set) var objects: [Object] = []
    /// Bytes of tensors and objects that had to be read: none of what is equal chunk by chunk.
    public internal(set) var readBytes = 0

    /// Whether both hold the same tensors and objects, byte for byte.
    public var isEqual: Bool {
        tensors.allSatisfy { $0.change == .equal } && objects.allSatisfy { $0.change == .equal }
    }
}

extension CheckpointStore {
    /// Compares a checkpoint with another one, of this store or of another.
    ///
    /// Chunks are compared by the hashes taken at capture, so what is equal is not read.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`, `outOfMemory`.
    public func compare(
        _ before: CheckpointReference, with after: CheckpointReference, of other: CheckpointStore? = nil
    ) throws(CheckpointError) -> CheckpointComparison {
        let other = other ?? self
        return try compare(try load(before).loaded.manifest, with: try other.load(after).loaded.manifest, of: other)
    }

    package func compare(
        _ before: Manifest, with after: Manifest, of other: CheckpointStore
    ) throws(CheckpointError) -> CheckpointComparison {
        var comparer = Comparer(
            before: .init(manifest: before, reader: ContentReader(store: self, manifest: before)),
            after: .init(manifest: after, reader: ContentReader(store: other, manifest: after)))
        try comparer.compareTensors()
        try comparer.compareObjects()
        return comparer.result
    }
}

/// One comparison in progress.
private struct Comparer {
    struct Side {
        let manifest: Manifest
        let reader: ContentReader
    }

    let before: Side
    let after: Side
    var result = CheckpointComparison()

    mutating func compareTensors() throws(CheckpointError) {
        for (old, new) in pairs(before.manifest.tensors, after.manifest.tensors, name: \.name) {
            result.tensors.append(try compare(old, new))
        }
    }

    mutating func compareObjects() throws(CheckpointError) {
        for (old, new) in pairs(before.manifest.objects, after.manifest.objects, name: \.name) {
            result.objects.append(try compare(old, new))
        }
    }

    /// Names are compared byte by byte: two spellings of one accented letter are two names.
    private func pairs<T>(_ old: [T], _ new: [T], name: (T) -> String) -> [(T?, T?)] {
        func keyed(_ list: [T]) -> [[UInt8]: T] {
            Dictionary(list.map { (Array(name($0).utf8), $0) }, uniquingKeysWith: { first, _ in first })
        }
        let (olds, news) = (keyed(old), keyed(new))
        return old.map { ($0, news[Array(name($0).utf8)]) }
            + new.filter { olds[Array(name($0).utf8)] == nil }.map { (nil, $0) }
    }

    private mutating func compare(
        _ old: TensorRecord?, _ new: TensorRecord?
    ) throws(CheckpointError) -> CheckpointComparison.Tensor {
        var tensor = CheckpointComparison.Tensor(name: old?.name ?? new?.name ?? "", change: .equal)
        tensor.before = old.map { .init(type: $0.type, shape: $0.shape) }
        tensor.after = new.map { .init(type: $0.type, shape: $0.shape) }
        guard let old, let new else {
            tensor.change = old == nil ? .added : .removed
            return tensor
        }
        if tensor.before != tensor.after {
            tensor.change = .form
        } else if !haveEqualChunks(old, new) {
            let (a, b) = (try before.reader.tensor(old), try after.reader.tensor(new))
            result.readBytes += old.bytes + new.bytes
            // Equal bytes may be cut into other chunks or shards.
            guard a.region.hash128 != b.region.hash128 else { return tensor }
            tensor.change = .content
            tensor.difference = a.difference(to: b)
        }
        return tensor
    }

    private func haveEqualChunks(_ old: TensorRecord, _ new: TensorRecord) -> Bool {
        old.shards.count == new.shards.count
            && zip(old.shards, new.shards).allSatisfy { a, b in
                a.descriptor == b.descriptor && haveEqualChunks(a.chunks, b.chunks)
            }
    }

    private func haveEqualChunks(_ old: Range<Int>, _ new: Range<Int>) -> Bool {
        old.count == new.count
            && zip(before.manifest.chunks[old], after.manifest.chunks[new]).allSatisfy {
                $0.hash == $1.hash && $0.bytes == $1.bytes
            }
    }

    private mutating func compare(
        _ old: ObjectRecord?, _ new: ObjectRecord?
    ) throws(CheckpointError) -> CheckpointComparison.Object {
        var object = CheckpointComparison.Object(name: old?.name ?? new?.name ?? "", change: .equal)
        guard let old, let new else {
            object.change = old == nil ? .added : .removed
            return object
        }
        guard old.encoding == new.encoding else {
            object.change = .form
            return object
        }
        guard !haveEqualChunks(old.chunks, new.chunks) else { return object }
        let (a, b) = (try before.reader.object(old), try after.reader.object(new))
        result.readBytes += a.count + b.count
        object.change = a == b ? .equal : .content
        if object.change == .content, old.encoding == .json { object.isSameJSON = areSameJSON(a, b) }
        return object
    }

    private func areSameJSON(_ a: [UInt8], _ b: [UInt8]) -> Bool? {
        do throws(FormatError) {
            return try JSONParser.parse(a[...]).sorted == JSONParser.parse(b[...]).sorted
        } catch { return nil }
    }
}

extension JSONValue {
    /// The same value with the keys of every object in order.
    fileprivate var sorted: JSONValue {
        switch self {
        case .array(let elements): .array(elements.map(\.sorted))
        case .object(let members):
            .object(members.sorted { $0.key < $1.key }.map { Member($0.key, $0.value.sorted) })
        default: self
        }
    }
}

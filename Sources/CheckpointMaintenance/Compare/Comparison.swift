public import CheckpointStorage
public import CheckpointFormat
public import CheckpointState

/// How two checkpoints differ.
public struct CheckpointComparison: Sendable {
    /// What became of a tensor or an object.
    public enum Change: String, Sendable, CaseIterable {
        case equal, added, removed
        /// A tensor of another element type or shape, or an object of another encoding.
        case form
        /// Of the same form, with other elements, or another value.
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
        /// Whether both are JSON of the same value, whatever the order of keys and the spaces, in which case `change` is `equal`; nil if
        /// the bytes are equal or one of them is no JSON.
        public var isSameJSON: Bool?
    }

    /// How two checkpoints are compared.
    public struct Options: Sendable {
        /// Elements this far apart, or less, count as equal; nil means that every bit counts.
        public var epsilon: Double?
        /// Compares only tensors that match one of them, and no objects; none means everything.
        public var patterns: [NamePattern] = []
        /// Reads every chunk of a tensor of which one has changed, so that norm and cosine are of all its elements.
        public var readsChangedWhole = false
        /// Called with the bytes of tensors gone through, and of all.
        public var onProgress: (@Sendable (_ done: Int, _ total: Int) -> Void)?

        /// Everything, bit by bit.
        public init() {}
    }

    /// In the order of the first checkpoint; then what was added, in the order of the second.
    public internal(set) var tensors: [Tensor] = []
    /// In the same order.
    public internal(set) var objects: [Object] = []
    /// Bytes of tensors and objects that had to be read: none of what is equal chunk by chunk.
    public internal(set) var readBytes = 0
    /// Distances up to this one were taken for none; nil if every bit counts.
    public internal(set) var epsilon: Double?

    /// Whether a tensor is the same in both, in every bit or within epsilon.
    public func isEqual(_ tensor: Tensor) -> Bool {
        tensor.change == .equal || epsilon != nil && tensor.change == .content && tensor.difference?.beyond == 0
    }

    /// Whether both hold the same: tensors as above, objects of the same value.
    public var isEqual: Bool { tensors.allSatisfy(isEqual) && objects.allSatisfy { $0.change == .equal } }
}

extension CheckpointStore {
    /// Compares a checkpoint with another one, of this store or of another.
    ///
    /// Chunks are compared by the hashes taken at capture, so what is equal is not read; tensors that are cut into other shards than their
    /// counterparts are. Memory does not grow with the tensors.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`, `outOfMemory`.
    public func compare(
        _ before: CheckpointReference, with after: CheckpointReference, of other: CheckpointStore? = nil,
        _ options: CheckpointComparison.Options = .init()
    ) throws(CheckpointError) -> CheckpointComparison {
        let other = other ?? self
        let manifests = (try load(before).manifest, try other.load(after).manifest)
        return try compare(manifests.0, with: manifests.1, of: other, options)
    }

    package func compare(
        _ before: Manifest, with after: Manifest, of other: CheckpointStore, _ options: CheckpointComparison.Options = .init()
    ) throws(CheckpointError) -> CheckpointComparison {
        var comparer = Comparer(ComparedSide(before, of: self), ComparedSide(after, of: other), options)
        try comparer.compareTensors()
        if options.patterns.isEmpty { try comparer.compareObjects() }
        return comparer.result
    }

    /// Compares tensors of these names only, of two checkpoints of this store.
    package func compareTensors(
        _ before: Manifest, with after: Manifest, where isMeant: (String) -> Bool
    ) throws(CheckpointError) -> CheckpointComparison {
        var comparer = Comparer(ComparedSide(before, of: self), ComparedSide(after, of: self), .init())
        try comparer.compareTensors(where: isMeant)
        return comparer.result
    }

    /// Compares the tensors of a checkpoint with tensors that lie elsewhere: in memory, or in a file.
    package func compare(
        _ before: Manifest, with after: any StateProvider, _ options: CheckpointComparison.Options = .init()
    ) throws(CheckpointError) -> CheckpointComparison {
        let inventory = try translating("describing the state") { try StateInventory(of: after) }
        var comparer = Comparer(ComparedSide(before, of: self), ComparedSide(inventory), options)
        try comparer.compareTensors()
        return comparer.result
    }
}

public import CheckpointFormat
public import CheckpointState
public import CheckpointStorage

/// Differences between two checkpoints. Sizes in bytes.
public struct CheckpointComparison: Sendable {
    /// Kind of change of a tensor or an object.
    public enum Change: String, Sendable, CaseIterable {
        case equal, added, removed
        /// The tensor has another element type or shape, or the object another encoding.
        case form
        /// The form is the same; elements, or the object's value, differ.
        case content
    }

    /// A tensor of either checkpoint or both.
    public struct Tensor: Sendable {
        /// The tensor's name.
        public var name: String
        /// The kind of change.
        public var change: Change
        /// Form in the first checkpoint; nil if the tensor was added.
        public var before: Form?
        /// Form in the second checkpoint; nil if the tensor was removed.
        public var after: Form?
        /// Size of the difference between the elements; nil if the forms differ or one tensor is
        /// missing.
        public var difference: ElementDifference?
    }

    /// Element type and shape of a tensor.
    public struct Form: Sendable, Equatable {
        /// The element type.
        public var type: ElementType
        /// Extent of each dimension, in elements.
        public var shape: [Int]
    }

    /// An object of either checkpoint or both.
    public struct Object: Sendable {
        /// The object's name.
        public var name: String
        /// The kind of change.
        public var change: Change
        /// True if the bytes differ, but both are JSON of the same value, regardless of the order
        /// of keys and of spaces; `change` is then `equal`. Nil if the bytes are equal or one of
        /// them is not JSON.
        public var isSameJSON: Bool?
    }

    /// Options of a comparison.
    public struct Options: Sendable {
        /// Maximum distance of elements that count as equal; nil compares bit by bit.
        public var epsilon: Double?
        /// Compares only tensors that match one of these patterns, and no objects; empty compares
        /// everything.
        public var patterns: [NamePattern] = []
        /// Reads changed tensors completely, to compute norm and cosine over all their elements.
        public var readsChangedWhole = false
        /// Called with the bytes of tensors compared so far, and their total.
        public var onProgress: (@Sendable (_ done: Int, _ total: Int) -> Void)?

        /// Creates options that compare everything, bit by bit.
        public init() {}
    }

    /// Tensors in the order of the first checkpoint; then the added ones, in the order of the
    /// second.
    public internal(set) var tensors: [Tensor] = []
    /// Objects in the same order.
    public internal(set) var objects: [Object] = []
    /// Bytes of tensors and objects that were read; content that is equal chunk by chunk is not.
    public internal(set) var readBytes = 0
    /// Maximum distance that counted as equal; nil if every bit counted.
    public internal(set) var epsilon: Double?

    /// Returns true if a tensor is the same in both checkpoints, bit by bit or within `epsilon`.
    ///
    /// - Parameter tensor: a tensor of this comparison.
    /// - Returns: true if it is the same.
    public func isEqual(_ tensor: Tensor) -> Bool {
        tensor.change == .equal || epsilon != nil && tensor.change == .content && tensor.difference?.beyond == 0
    }

    /// True if both checkpoints hold the same: tensors as in `isEqual(_:)`, objects of the same
    /// value.
    public var isEqual: Bool { tensors.allSatisfy(isEqual) && objects.allSatisfy { $0.change == .equal } }
}

extension CheckpointStore {
    /// Compares a checkpoint with another one, of this store or of another.
    ///
    /// Chunks are compared by the hashes taken at capture, so equal ones are not read; tensors that
    /// are sharded differently are read. Memory use is independent of tensor size.
    ///
    /// - Parameters:
    ///   - before: the first checkpoint, in this store.
    ///   - after: the second checkpoint.
    ///   - other: the second checkpoint's store; nil means this one.
    ///   - options: precision and selection.
    /// - Returns: the differences.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`, `outOfMemory`.
    public func compare(
        _ before: CheckpointReference, with after: CheckpointReference, of other: CheckpointStore? = nil,
        _ options: CheckpointComparison.Options = .init()
    ) throws(CheckpointError) -> CheckpointComparison {
        let other = other ?? self
        let manifests = (try load(before).manifest, try other.load(after).manifest)
        return try compare(manifests.0, with: manifests.1, of: other, options)
    }

    /// Compares two checkpoints whose manifests are loaded.
    ///
    /// - Parameters:
    ///   - before: the first checkpoint, in this store.
    ///   - after: the second checkpoint, in `other`.
    ///   - other: the second checkpoint's store.
    ///   - options: precision and selection.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func compare(
        _ before: Manifest, with after: Manifest, of other: CheckpointStore, _ options: CheckpointComparison.Options = .init()
    ) throws(CheckpointError) -> CheckpointComparison {
        var comparer = Comparer(ComparedSide(before, of: self), ComparedSide(after, of: other), options)
        try comparer.compareTensors()
        if options.patterns.isEmpty { try comparer.compareObjects() }
        return comparer.result
    }

    /// Compares some tensors of two checkpoints of this store, and no objects.
    ///
    /// - Parameters:
    ///   - before: the first checkpoint.
    ///   - after: the second checkpoint.
    ///   - isMeant: returns true for the names to compare.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func compareTensors(
        _ before: Manifest, with after: Manifest, where isMeant: (String) -> Bool
    ) throws(CheckpointError) -> CheckpointComparison {
        var comparer = Comparer(ComparedSide(before, of: self), ComparedSide(after, of: self), .init())
        try comparer.compareTensors(where: isMeant)
        return comparer.result
    }

    /// Compares the tensors of a checkpoint with tensors in memory or in a file.
    ///
    /// - Parameters:
    ///   - before: the checkpoint, in this store.
    ///   - after: describes and lends the tensors.
    ///   - options: precision and selection.
    /// - Throws: codes `damaged`, `io`, `provider`, `device`, `outOfMemory`.
    package func compare(
        _ before: Manifest, with after: any StateProvider, _ options: CheckpointComparison.Options = .init()
    ) throws(CheckpointError) -> CheckpointComparison {
        let inventory = try translating("describing the state") { try StateInventory(of: after) }
        var comparer = Comparer(ComparedSide(before, of: self), ComparedSide(inventory), options)
        try comparer.compareTensors()
        return comparer.result
    }
}

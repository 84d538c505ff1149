internal import CheckpointCodecs
public import CheckpointFormat
public import CheckpointState

/// One committed checkpoint, open for reading.
///
/// Every byte that a call returns has been checked against the hash taken at capture. Memory use
/// is that of the result and one block per thread. Calls may come from any thread, and run
/// concurrently.
///
///     let checkpoint = try store.checkpoint(.latest)
///     for tensor in checkpoint.tensors { print(tensor.name, tensor.type, tensor.shape) }
///     let bytes = try checkpoint.bytes(ofTensor: "wte.weight")
///
/// A checkpoint that retention deletes while it is open can no longer be read: calls then throw
/// code `damaged` and name the missing segment.
public struct Checkpoint: Sendable {
    /// Id, run, step, time, metrics, sizes and marks.
    public let summary: CheckpointSummary
    /// The tensors, in the order in which the trainer described them.
    public let tensors: [TensorInfo]
    /// The objects, in the order in which the trainer described them.
    public let objects: [ObjectInfo]
    /// The program that wrote the checkpoint, with its version.
    public let writer: String
    /// Newer checkpoints that `latest` skipped because they are damaged, newest first.
    public let skipped: [CheckpointError]
    /// The store that holds it.
    public let store: CheckpointStore
    package let manifest: Manifest

    package init(
        _ manifest: Manifest, in store: CheckpointStore, skipped: [CheckpointError] = []
    ) throws(CheckpointError) {
        self.manifest = manifest
        self.store = store
        self.skipped = skipped
        summary = CheckpointSummary(manifest, try store.marks(), defaultRunName: store.defaultRunName)
        tensors = manifest.tensors.map { TensorInfo($0, in: manifest) }
        objects = manifest.objects.map {
            ObjectInfo(name: $0.name, role: $0.role, encoding: $0.encoding, byteCount: $0.bytes)
        }
        writer = manifest.writer
    }

    /// The state that resuming needs, as far as the checkpoint holds it.
    public var completeness: Completeness { Completeness(of: manifest) }

    /// Finds a tensor. Names are compared as UTF-8 bytes.
    ///
    /// - Parameter name: the tensor's name.
    /// - Returns: the tensor; nil if there is none of this name.
    public func tensor(_ name: String) -> TensorInfo? {
        tensors.first { $0.name.isSameName(as: name) }
    }

    /// Finds an object. Names are compared as UTF-8 bytes.
    ///
    /// - Parameter name: the object's name.
    /// - Returns: the object; nil if there is none of this name.
    public func object(_ name: String) -> ObjectInfo? {
        objects.first { $0.name.isSameName(as: name) }
    }

    // MARK: Reading tensors

    /// Reads a tensor into the caller's memory, on `threads` threads, without a copy in between.
    ///
    /// If the call throws, the memory is partly overwritten.
    ///
    /// - Parameters:
    ///   - name: the tensor's name.
    ///   - destination: a view of the tensor's type and shape; any strides, any device.
    ///   - threads: number of reading threads, at least 1.
    /// - Throws: codes `notFound` (no such tensor), `mismatch` (another type or shape), `misuse`,
    ///   `damaged`, `io`, `device`, `outOfMemory`.
    public func read(
        tensor name: String, into destination: TensorView, threads: Int = 2
    ) throws(CheckpointError) {
        try reader.read(tensor: name, into: destination, threads: threads)
    }

    /// Reads the row-major little-endian bytes of a tensor, or a range of them.
    ///
    /// Only the blocks that overlap the range are read, unless ranks held the tensor transposed.
    ///
    /// - Parameters:
    ///   - name: the tensor's name.
    ///   - range: offsets in bytes; nil means all of the tensor.
    /// - Returns: the bytes of the range.
    /// - Throws: codes `notFound` (no such tensor), `misuse` (the range is outside the tensor),
    ///   `damaged`, `io`, `outOfMemory`.
    public func bytes(
        ofTensor name: String, range: Range<Int>? = nil
    ) throws(CheckpointError) -> [UInt8] {
        try reader.bytes(ofTensor: name, range: range)
    }

    /// Calls `body` with the row-major bytes of a tensor, in order, at most 1 MiB at a time.
    ///
    /// - Parameters:
    ///   - name: the tensor's name.
    ///   - body: called on this thread with the bytes that follow.
    /// - Returns: the XXH3-128 of all bytes.
    /// - Throws: codes `notFound` (no such tensor), `damaged`, `io`, `outOfMemory`, and what
    ///   `body` throws.
    @discardableResult
    public func withBytes(
        ofTensor name: String, _ body: ([UInt8]) throws(CheckpointError) -> Void
    ) throws(CheckpointError) -> Hash128 {
        let record = try reader.record(ofTensor: name)
        return try TensorStream(store: store, manifest: manifest).readInOrder(record) {
            region throws(CheckpointError) in try body(region.array)
        }
    }

    // MARK: Reading objects

    /// Reads an object's encoded bytes.
    ///
    /// - Parameter name: the object's name.
    /// - Returns: UTF-8 JSON if the object's encoding is `json`, and otherwise the trainer's own.
    /// - Throws: codes `notFound` (no such object), `damaged`, `io`, `outOfMemory`.
    public func bytes(ofObject name: String) throws(CheckpointError) -> [UInt8] {
        guard let record = manifest.objects.first(where: { $0.name.isSameName(as: name) })
        else { throw reader.notFound("object", name, manifest.objects.map(\.name)) }
        return try ContentReader(store: store, manifest: manifest).object(record)
    }

    // MARK: Figures

    /// Computes the XXH3-128 of a tensor's row-major bytes.
    ///
    /// - Parameter name: the tensor's name.
    /// - Returns: the hash.
    /// - Throws: codes `notFound` (no such tensor), `damaged`, `io`, `outOfMemory`.
    public func digest(ofTensor name: String) throws(CheckpointError) -> Hash128 {
        let record = try reader.record(ofTensor: name)
        return try TensorStream(store: store, manifest: manifest).readInOrder(record)
    }

    /// Computes minimum, maximum, mean, deviation, norm and counts of a tensor's elements.
    ///
    /// - Parameter name: the tensor's name.
    /// - Returns: the figures.
    /// - Throws: codes `notFound` (no such tensor), `damaged`, `io`, `outOfMemory`.
    public func statistics(ofTensor name: String) throws(CheckpointError) -> TensorStatistics {
        let record = try reader.record(ofTensor: name)
        return try TensorStream(store: store, manifest: manifest).statistics(of: record)
    }

    /// Reads everything and checks it against the hashes taken at capture; keeps nothing.
    ///
    /// - Parameter progress: called with the bytes of tensors checked so far, and their total.
    /// - Throws: the first damage found: codes `damaged`, `io`, `outOfMemory`.
    public func check(
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) {
        let stream = TensorStream(store: store, manifest: manifest)
        let total = manifest.tensors.reduce(0) { $0 + $1.bytes }
        for record in manifest.tensors {
            try stream.forEachPart(of: record) { _ throws(CheckpointError) in
                progress(stream.readBytes, total)
            }
        }
        let reader = ContentReader(store: store, manifest: manifest)
        for record in manifest.objects { _ = try reader.object(record) }
    }

    private var reader: TensorReader { TensorReader(store: store, manifest: manifest) }
}

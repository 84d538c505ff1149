internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointSharding
package import CheckpointState

/// Reads tensors and objects of one checkpoint into memory. Every byte is checked against the hash
/// taken at capture.
///
/// Any thread; it takes no lock.
package struct ContentReader: Sendable {
    private var operation: RestoreOperation

    /// Creates a reader; opens no file yet.
    ///
    /// - Parameters:
    ///   - store: the store that holds the checkpoint.
    ///   - manifest: the checkpoint's manifest.
    ///   - threads: number of reading threads, at least 1.
    ///   - cancellation: asked before each block.
    package init(
        store: CheckpointStore, manifest: Manifest, threads: Int = 2,
        cancellation: Cancellation = Cancellation()
    ) {
        operation = RestoreOperation(store: store, manifest: manifest, threads: threads)
        operation.cancellation = cancellation
    }

    private var manifest: Manifest { operation.manifest }

    /// Reads complete tensors into the memory that `provider` lends for their names, in the order
    /// of their blocks on disk.
    ///
    /// - Parameters:
    ///   - records: the tensors.
    ///   - provider: lends a view of the tensor's type and shape for each name.
    ///   - progress: called with the tensor bytes restored since the last call, on the reading
    ///     threads.
    /// - Throws: codes `damaged`, `mismatch`, `io`, `provider`, `device`, `outOfMemory`.
    package func tensors(
        _ records: [TensorRecord], into provider: any StateProvider, progress: @escaping @Sendable (Int) -> Void
    ) throws(CheckpointError) {
        for record in records { try checkShards(record) }
        let inventory = try translating("describing the state") { try StateInventory(of: provider) }
        var operation = operation
        operation.progress = progress
        try operation.run(RestorePlan(manifest, into: inventory.tensors))
    }

    package func checkShards(_ record: TensorRecord) throws(CheckpointError) {
        let held = record.shards.reduce(0) { $0 + manifest.chunks[$1.chunks].reduce(0) { $0 + $1.bytes } }
        guard held == record.bytes else {
            throw CheckpointError(
                .damaged, "the shards of tensor \(record.name) have \(held) of its \(record.bytes) bytes",
                names: [record.name])
        }
    }

    /// Reads a complete tensor into new memory, row-major.
    ///
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func tensor(_ record: TensorRecord) throws(CheckpointError) -> TensorBuffer {
        try checkShards(record)
        let tensor = try translating("tensor \(record.name)") { try TensorBuffer(record.type, record.shape) }
        try operation.run(RestorePlan(manifest, record, into: tensor.view))
        return tensor
    }

    /// Reads row-major elements of a tensor into new memory. Only the blocks that hold some of them
    /// are read.
    ///
    /// - Parameters:
    ///   - elements: positions in the tensor; no byte of the type is split.
    ///   - record: the tensor.
    /// - Returns: a tensor of one dimension.
    /// - Throws: codes `damaged`, `unsupported` (a chunk ends inside an element), `io`,
    ///   `outOfMemory`.
    package func elements(
        _ elements: Range<Int>, of record: TensorRecord
    ) throws(CheckpointError) -> TensorBuffer {
        let count = TensorShape.elementCount(record.shape) ?? 0
        let sizes = [elements.lowerBound, elements.count, count - elements.upperBound]
        let (tensor, shard) = try translating("tensor \(record.name)") {
            (
                try TensorBuffer(record.type, [elements.count]),
                // The second of three parts of the flat tensor.
                try TensorSharding(record.shape).flat(at: 0, of: count, over: "part", .sizes(sizes))
                    .shard(of: 1, in: RankMesh(["part": 3]))
            )
        }
        try operation.run(RestorePlan(manifest, record, shard, into: tensor.view))
        return tensor
    }

    /// Reads a complete tensor into existing memory.
    ///
    /// - Parameters:
    ///   - record: the tensor.
    ///   - view: a view of the tensor's type and shape.
    /// - Throws: codes `damaged`, `mismatch`, `io`, `device`, `outOfMemory`.
    package func tensor(_ record: TensorRecord, into view: TensorView) throws(CheckpointError) {
        try checkShards(record)
        try operation.run(RestorePlan(manifest, record, into: view))
    }

    /// Reads the encoded bytes of an object.
    ///
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func object(_ record: ObjectRecord) throws(CheckpointError) -> [UInt8] {
        try operation.objects([record])[0]
    }
}

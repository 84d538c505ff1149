internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointState

/// Reads tensors and objects of one checkpoint into memory of their own, every byte checked against the hash taken at
/// capture.
package struct ContentReader: Sendable {
    private let operation: RestoreOperation

    package init(store: CheckpointStore, manifest: Manifest, threads: Int = 2) {
        operation = RestoreOperation(store: store, manifest: manifest, threads: threads)
    }

    private var manifest: Manifest { operation.manifest }

    /// Whole tensors, into the memory that `provider` lends for them under their names, in the order in which they lie on disk.
    /// - Parameter progress: called with the tensor bytes restored since the last call, on the reading threads.
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
                .damaged, "the shards of tensor \(record.name) hold \(held) of its \(record.bytes) bytes",
                names: [record.name])
        }
    }

    /// The whole tensor, row-major.
    package func tensor(_ record: TensorRecord) throws(CheckpointError) -> OwnedTensor {
        try checkShards(record)
        let tensor = try translating("tensor \(record.name)") { try OwnedTensor(record.type, record.shape) }
        try operation.run(RestorePlan(manifest, record, into: tensor.view))
        return tensor
    }

    /// Fills `view`, which has the tensor's type and shape, with the whole tensor.
    package func tensor(_ record: TensorRecord, into view: TensorView) throws(CheckpointError) {
        try checkShards(record)
        try operation.run(RestorePlan(manifest, record, into: view))
    }

    /// The bytes of an object.
    package func object(_ record: ObjectRecord) throws(CheckpointError) -> [UInt8] {
        try operation.objects([record])[0]
    }
}

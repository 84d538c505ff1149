internal import CheckpointFormat
public import CheckpointState

extension CheckpointStore {
    /// Restores a checkpoint into the memory that `provider` lends, checking every byte against the
    /// hash taken at capture.
    ///
    /// `latest` walks back to the newest intact checkpoint, and reports those it skipped. Objects
    /// are restored after all tensors. The call returns when everything is restored. If it throws,
    /// the state is partly overwritten and must not be used.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint.
    ///   - provider: describes the state, lends its memory and takes the objects.
    ///   - matching: restores only tensors and objects whose name matches; nil means everything
    ///     that the provider describes.
    ///   - threads: number of reading threads, at least 1.
    ///   - progress: called with the tensor bytes restored since the last call, on the reading
    ///     threads.
    /// - Returns: the checkpoint restored from, with counts, and the damaged checkpoints that were
    ///   skipped.
    /// - Throws: codes `notFound`, `damaged`, `mismatch` (another type or shape, or a name that the
    ///   checkpoint lacks), `misuse`, `unsupported`, `io`, `provider`, `device`, `outOfMemory`.
    @discardableResult
    public func restore(
        _ reference: CheckpointReference, into provider: any StateProvider, matching: NamePattern? = nil,
        threads: Int = 2, progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws(CheckpointError) -> RestoreReport {
        guard threads >= 1 else { throw CheckpointError(.misuse, "threads must be at least 1 (got \(threads))") }
        let inventory = try translating("describing the state") { try StateInventory(of: provider) }
        var (report, skipped) = try withManifest(reference) { manifest throws(CheckpointError) in
            try restore(manifest, inventory, matching, threads, progress)
        }
        report.skipped = skipped
        return report
    }

    private func restore(
        _ manifest: Manifest, _ inventory: StateInventory, _ pattern: NamePattern?, _ threads: Int,
        _ progress: @escaping @Sendable (Int) -> Void
    ) throws(CheckpointError) -> RestoreReport {
        let tensors = inventory.tensors.filter { pattern?.matches($0.name) ?? true }
        let objects = inventory.objects.filter { pattern?.matches($0.name) ?? true }
        let plan = try RestorePlan(manifest, into: tensors)
        let operation = RestoreOperation(store: self, manifest: manifest, threads: threads, progress: progress)
        let records = Dictionary(
            manifest.objects.map { (Array($0.name.utf8), $0) }, uniquingKeysWith: { first, _ in first })
        var wanted: [ObjectRecord] = []
        for object in objects {
            guard let record = records[Array(object.name.utf8)] else {
                throw RestorePlan.missing("object", object.name, manifest.objects.map(\.name))
            }
            wanted.append(record)
        }
        try translating("restore") { try tensors.orderCopiesAfterTrainer() }
        try operation.run(plan)
        for (object, bytes) in zip(objects, try operation.objects(wanted)) {
            try translating("object \(object.name)") { try object.restore(bytes) }
        }
        return RestoreReport(
            id: manifest.id, run: manifest.run, step: manifest.step,
            metrics: Dictionary(manifest.metrics.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first }),
            tensorCount: tensors.count, objectCount: objects.count, tensorBytes: plan.tensorBytes, skipped: [])
    }
}

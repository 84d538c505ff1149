internal import CheckpointFormat
internal import CheckpointState

/// The restore of a checkpoint into a state that it fits. The thread of the caller.
struct PlannedRestore {
    private let manifest: Manifest
    private let target: RestoreTarget
    private let match: RestoreMatch
    private let plan: RestorePlan

    /// Compares a checkpoint with a state. Changes nothing.
    ///
    /// - Parameters:
    ///   - manifest: the checkpoint.
    ///   - target: the state.
    /// - Throws: codes `mismatch`, `damaged`, `unsupported`.
    init(_ manifest: Manifest, into target: RestoreTarget) throws(CheckpointError) {
        match = RestoreMatch(target.inventory, manifest, target.pattern, target.types)
        if let mismatch = match.mismatch(target.mode, step: manifest.step) { throw mismatch }
        plan = try RestorePlan(manifest, into: match.tensors, target.types)
        (self.manifest, self.target) = (manifest, target)
    }

    /// Fills the state: tensors, then objects.
    ///
    /// - Parameter store: the store of the checkpoint.
    /// - Returns: the report, in which no checkpoint was skipped.
    /// - Throws: codes `damaged`, `notFound`, `io`, `provider`, `device`, `outOfMemory`. The state
    ///   is then partly overwritten.
    func run(in store: CheckpointStore) throws(CheckpointError) -> RestoreReport {
        let operation = RestoreOperation(
            store: store, manifest: manifest, threads: target.threads, progress: target.progress)
        try translating("restore") { try match.tensors.orderCopiesAfterTrainer() }
        let overflowCount = try operation.run(plan)
        for ((item, _), bytes) in zip(
            match.objects, try operation.objects(match.objects.map(\.record)))
        {
            try translating("object \(item.name)") { try item.restore(bytes) }
        }
        return RestoreReport(
            manifest, match, plan, overflowCount: overflowCount,
            defaultRunName: store.defaultRunName)
    }
}

public import CheckpointFormat
public import CheckpointState

/// What was restored.
public struct RestoreReport: Sendable {
    /// The checkpoint restored from.
    public var id: CheckpointID
    /// The run it belongs to.
    public var run: RunID
    /// Its step.
    public var step: Int
    /// The metrics given to `save`.
    public var metrics: [String: Double]
    /// Number of tensors restored.
    public var tensorCount: Int
    /// Number of objects restored.
    public var objectCount: Int
    /// Bytes of tensors restored.
    public var tensorBytes: Int
    /// Newer checkpoints that were not whole, newest first.
    public var skipped: [CheckpointError]
}

extension CheckpointStore {
    /// Restores a checkpoint into the memory that `provider` lends, checking every byte against the hash taken at capture.
    ///
    /// `latest` goes back to the newest checkpoint that is whole, and reports those it passed over. Objects are put back after
    /// all tensors are.
    /// If it fails, the state is partly overwritten and must not be used.
    /// - Parameters:
    ///   - matching: restores only tensors and objects whose name matches; nil means everything that the provider describes.
    ///   - progress: called with the tensor bytes restored since the last call, on the reading threads.
    /// - Throws: codes `notFound`, `damaged`, `mismatch`, `unsupported`, `io`, `provider`.
    @discardableResult
    public func restore(
        _ reference: CheckpointReference, into provider: any StateProvider, matching: NamePattern? = nil,
        threads: Int = 2, progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws(CheckpointError) -> RestoreReport {
        guard threads >= 1 else { throw CheckpointError(.misuse, "\(threads) threads restore nothing") }
        let inventory = try translating("describing the state") { try StateInventory(of: provider) }
        var skipped: [CheckpointError] = []
        for name in try candidates(reference) {
            do throws(CheckpointError) {
                var report = try files.reading(name) { manifest throws(CheckpointError) in
                    try restore(manifest, inventory, matching, threads, progress)
                }
                report.skipped = skipped
                return report
            } catch {
                // A segment that is gone is damage to the checkpoint that names it.
                guard reference == .latest, error.code == .damaged || error.code == .notFound else { throw error }
                skipped.append(error)
            }
        }
        throw try missing(reference, skipped)
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
        try translating("restore") { try DeviceKeeper.orderCopies(to: tensors) }
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

/// A name pattern: `*` stands for any characters, `?` for one; all others for themselves.
public struct NamePattern: Sendable, CustomStringConvertible {
    public let description: String
    private let pattern: [Character]

    /// Any text is a pattern.
    public init(_ text: String) {
        description = text
        pattern = Array(text)
    }

    /// Compares from left to right; after a mismatch the last star takes one character more.
    public func matches(_ name: String) -> Bool {
        let name = Array(name)
        var position = 0
        var next = 0
        var star: (next: Int, position: Int)?
        while position < name.count {
            if next < pattern.count, pattern[next] == "*" {
                star = (next + 1, position)
                next += 1
            } else if next < pattern.count, pattern[next] == "?" || pattern[next] == name[position] {
                position += 1
                next += 1
            } else if let last = star {
                (next, position) = (last.next, last.position + 1)
                star = (next, position)
            } else {
                return false
            }
        }
        return pattern[next...].allSatisfy { $0 == "*" }
    }
}

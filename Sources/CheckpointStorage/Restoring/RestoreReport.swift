public import CheckpointFormat
public import Foundation

/// Result of a restore.
public struct RestoreReport: Sendable {
    /// Id of the checkpoint restored from.
    public var id: CheckpointID
    /// Id of the restart that saved the checkpoint.
    public var run: RunID
    /// Name of the checkpoint's run.
    public var runName: String
    /// Place of the checkpoint in its run.
    public var origin: CheckpointOrigin
    /// The checkpoint's step.
    public var step: Int
    /// Time at which the checkpoint was saved.
    public var created: Date
    /// The metrics given to `save`.
    public var metrics: [String: Double]
    /// Number of tensors restored.
    public var tensorCount: Int
    /// Number of objects restored.
    public var objectCount: Int
    /// Bytes of tensors restored, before any conversion.
    public var tensorBytes: Int
    /// Stored bytes of the blocks that were read for the tensors, and of those that they are deltas
    /// of. A block is read completely, because it can be checked only as a unit.
    public var readBytes: Int
    /// Names of the state that the checkpoint lacks, which were left as they were. Empty if the
    /// restore was strict.
    public var missing: [String]
    /// Names of the checkpoint that the state lacks. Empty if the restore was strict.
    public var unused: [String]
    /// Names of the objects of this rank that were restored from those of the first rank, because
    /// the checkpoint was saved on another mesh (`RankObjectState`).
    public var fromFirstRank: [String]
    /// Tensors whose elements were converted to another type. Empty unless `types` is
    /// `convertFloats`.
    public var converted: [ConvertedTensor]
    /// Number of finite elements that became infinite, because the type of the state is too small.
    public var overflowCount: Int
    /// Damage of the newer checkpoints that were skipped, newest first.
    public var skipped: [CheckpointError] = []
    /// Newer checkpoints that `resume` did not consider, newest first.
    public var passedOver: [PassedOver] = []
    /// The mirror that it was restored from; nil if from the store itself.
    public var mirror: String?
    /// The place of the next restart, if that does not follow from the store itself.
    package var place: CheckpointOrigin?
    /// The newest restart that has a checkpoint where this one was found.
    package var newestRestart: RunID
    /// Id of the branch that continues from here; nil if a new one begins.
    package var continuedBranch: RunID?
    /// Time of creation, in milliseconds since 1970.
    package var createdMilliseconds: Int

    /// Notes that the checkpoint came from the mirror, by which a run goes on as it stands there.
    ///
    /// - Parameters:
    ///   - copy: the copy of the store in the mirror.
    ///   - mirror: name of its place.
    mutating func come(
        from copy: CheckpointStore, at mirror: String
    ) throws(CheckpointError) {
        self.mirror = mirror
        newestRestart = max(run, try copy.files.names().last?.run ?? run)
    }

    init(
        _ manifest: Manifest, _ match: RestoreMatch, _ plan: RestorePlan, overflowCount: Int,
        defaultRunName: String
    ) {
        id = manifest.id
        run = manifest.run
        newestRestart = manifest.run
        runName = manifest.runName.isEmpty ? defaultRunName : manifest.runName
        origin = manifest.origin
        step = manifest.step
        createdMilliseconds = manifest.created
        created = Date(timeIntervalSince1970: Double(manifest.created) / 1000)
        metrics = Dictionary(
            manifest.metrics.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        tensorCount = match.tensorCount
        objectCount = match.objects.count
        tensorBytes = plan.tensorBytes
        readBytes = plan.readBytes
        (missing, unused) = (match.missing, match.unexpected)
        (fromFirstRank, converted) = (match.fromFirstRank, match.converted)
        self.overflowCount = overflowCount
    }
}

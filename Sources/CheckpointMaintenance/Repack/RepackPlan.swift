internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointStorage

/// Choice and order of the checkpoints to repack, each with the newer one that it is compared with.
/// Pure.
struct RepackPlan {
    struct Step: Equatable {
        var checkpoint: ManifestName
        /// The next newer checkpoint of the same run.
        var newer: ManifestName
    }

    let steps: [Step]

    /// Makes the plan.
    ///
    /// - Parameters:
    ///   - names: names of all checkpoints, oldest first.
    ///   - run: repacks only checkpoints of this run; nil means all runs.
    init(_ names: [ManifestName], of run: RunID?) {
        // The newest checkpoint of each run stays fast to read, since the run is resumed from it.
        // Names are sorted by run, so neighbours in the list are of the same run.
        steps = zip(names, names.dropFirst()).reversed().compactMap { older, newer in
            guard older.run == newer.run, run == nil || older.run == run else { return nil }
            return Step(checkpoint: older, newer: newer)
        }
    }
}

package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
package import CheckpointStorage

/// The metrics that each rank gave to the save of one checkpoint.
package struct RankMetrics: Sendable, Equatable {
    package var name: ManifestName
    package var id: CheckpointID
    /// Metrics by name, by rank.
    package var byRank: [[String: Double]]
}

extension CheckpointStore {
    /// Returns the metrics of each rank of checkpoints that several ranks have saved. Damaged ones
    /// are left out.
    ///
    /// - Parameters:
    ///   - names: the checkpoints, the most important first; those that one process has saved are
    ///     passed over without being read.
    ///   - partsMax: maximum number of ranks' parts to read. No checkpoint is read in part.
    /// - Returns: the metrics, in the order of `names`.
    /// - Throws: code `io` (the store cannot be listed).
    package func rankMetrics(
        of names: [ManifestName], partsMax: Int
    ) throws(CheckpointError) -> [RankMetrics] {
        let attempts = try translating("listing the saves of several ranks") {
            Set(
                try fileSystem.listIfThere(directories.parts).compactMap {
                    AttemptName($0)?.checkpoint
                })
        }
        let parts = PartFiles(fileSystem: fileSystem, directories: directories)
        var (metrics, rest) = ([RankMetrics](), partsMax)
        for name in names where attempts.contains(name) {
            // A damaged checkpoint is reported by those who read it whole.
            guard let root = try? files.loadFile(name).manifest, root.root != nil,
                root.worldSize <= rest
            else { continue }
            let attempt = AttemptName(checkpoint: name, attempt: root.id)
            let ranks = Array(0..<root.worldSize)
            // As above.
            guard let loaded = try? parts.load(ranks, of: attempt, root.worldSize) else { continue }
            rest -= root.worldSize
            metrics.append(
                RankMetrics(
                    name: name, id: root.id,
                    byRank: loaded.map { part in
                        Dictionary(
                            part.manifest.metrics.map { ($0.name, $0.value) },
                            uniquingKeysWith: { first, _ in first })
                    }))
        }
        return metrics
    }
}

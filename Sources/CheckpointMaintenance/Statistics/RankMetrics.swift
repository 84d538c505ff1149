package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
package import CheckpointStorage

/// The values of a metric that each rank gave to the save of one checkpoint.
package struct RankMetrics: Sendable, Equatable {
    package var name: ManifestName
    package var id: CheckpointID
    /// The value of each rank; nil if a rank gave none.
    package var byRank: [Double?]
}

extension CheckpointStore {
    /// Returns what each rank gave for a metric of checkpoints that several ranks have saved.
    ///
    /// - Parameters:
    ///   - metric: name of the metric; a checkpoint whose first rank has none is passed over.
    ///   - names: the checkpoints, the most important first; those that one process has saved are
    ///     passed over without being read.
    ///   - partsMax: maximum number of ranks' parts to read. No checkpoint is read in part.
    ///   - onFailure: called with the error of each checkpoint that cannot be read.
    /// - Returns: the values, in the order of `names`.
    /// - Throws: code `io` (the store cannot be listed).
    package func rankMetrics(
        _ metric: String, of names: [ManifestName], partsMax: Int,
        onFailure: (CheckpointError) -> Void
    ) throws(CheckpointError) -> [RankMetrics] {
        let attempts = try translating("listing the saves of several ranks") {
            Set(
                try fileSystem.listIfThere(directories.parts).compactMap {
                    AttemptName($0)?.checkpoint
                })
        }
        var (metrics, rest) = ([RankMetrics](), partsMax)
        for name in names where attempts.contains(name) {
            do throws(CheckpointError) {
                let root = try files.loadFile(name).manifest
                guard root.root != nil, root.worldSize <= rest,
                    root.metrics.contains(where: { $0.name == metric })
                else { continue }
                rest -= root.worldSize
                metrics.append(
                    RankMetrics(name: name, id: root.id, byRank: try values(metric, root)))
            } catch { onFailure(error) }
        }
        return metrics
    }

    /// Reads the parts of a checkpoint, some at a time: each may be as large as a manifest.
    private func values(
        _ metric: String, _ root: Manifest
    ) throws(CheckpointError) -> [Double?] {
        let parts = PartFiles(fileSystem: fileSystem, directories: directories)
        let attempt = AttemptName(checkpoint: root.name, attempt: root.id)
        var values: [Double?] = []
        while values.count < root.worldSize {
            let ranks = values.count..<min(values.count + Self.partsAtOnce, root.worldSize)
            values += try parts.load(Array(ranks), of: attempt, root.worldSize).map { part in
                part.manifest.metrics.first { $0.name == metric }?.value
            }
        }
        return values
    }

    private static var partsAtOnce: Int { 16 }
}

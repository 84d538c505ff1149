package import CheckpointFormat
internal import CheckpointSegments
public import CheckpointStorage

extension CheckpointStore {
    /// Compares what the ranks of saves held of the same elements. Reads the parts of the ranks,
    /// and no tensor data.
    ///
    /// Elements that several ranks hold are saved by one of them; the others leave hashes.
    ///
    /// - Parameter reference: one checkpoint; nil means all saves of several ranks, those that
    ///   were not committed included.
    /// - Returns: the results, oldest first; empty if no save was one of several ranks.
    /// - Throws: codes `notFound` (no such checkpoint), `damaged` (of `reference`), `io`,
    ///   `readOnly`.
    public func compareReplicas(
        _ reference: CheckpointReference? = nil
    ) throws(CheckpointError) -> [ReplicaReport] {
        if let reference {
            guard let name = try candidates(reference).first else {
                throw try missing(reference, [])
            }
            let root = try files.loadFile(name).manifest
            let attempt = AttemptName(checkpoint: name, attempt: root.id)
            guard root.root != nil else { return [] }
            return [comparedReplicas(attempt, worldSize: root.worldSize, missing: [], true)]
        }
        let attempts = RankAttempts(files: files)
        let (all, open) = try translating("listing the saves of several ranks") {
            (try attempts.list(), Set(try attempts.uncommitted().map(\.name)))
        }
        return all.compactMap { attempt in
            guard let worldSize = attempt.worldSize else { return nil }
            let saved = Set(attempt.saved)
            return comparedReplicas(
                attempt.name, worldSize: worldSize,
                missing: (0..<worldSize).filter { !saved.contains($0) },
                !open.contains(attempt.name))
        }
    }

    /// Returns which ranks held which regions of the tensors of a checkpoint.
    ///
    /// - Parameter name: the checkpoint.
    /// - Returns: the ranks by region, by the tensors' names; empty for a checkpoint of one
    ///   process.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`, `mismatch`.
    package func holders(
        of name: ManifestName
    ) throws(CheckpointError) -> [ByteName: RegionHolders] {
        let root = try files.loadFile(name).manifest
        guard root.root != nil else { return [:] }
        let files = PartFiles(fileSystem: fileSystem, directories: directories)
        let attempt = AttemptName(checkpoint: name, attempt: root.id)
        return try RootBuilder(
            files.load(Array(0..<root.worldSize), of: attempt, root.worldSize)
        ).holders()
    }

    private func comparedReplicas(
        _ attempt: AttemptName, worldSize: Int, missing: [Int], _ isCommitted: Bool
    ) -> ReplicaReport {
        var comparison = ReplicaComparison()
        var problem: CheckpointError?
        if missing.isEmpty {
            do throws(CheckpointError) {
                let files = PartFiles(fileSystem: fileSystem, directories: directories)
                let parts = try files.load(Array(0..<worldSize), of: attempt, worldSize)
                comparison = try RootBuilder(parts).comparedReplicas()
            } catch { problem = error }
        }
        return ReplicaReport(
            step: attempt.checkpoint.step, id: attempt.attempt, run: attempt.checkpoint.run,
            isCommitted: isCommitted, worldSize: worldSize, missingRanks: missing,
            comparedBytes: comparison.bytes, differences: comparison.differences,
            problem: problem)
    }
}

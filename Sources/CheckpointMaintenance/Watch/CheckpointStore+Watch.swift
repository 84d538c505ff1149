internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
package import CheckpointStorage
internal import SystemPackage

extension CheckpointStore {
    /// Returns the restart that saved a checkpoint; nil if the checkpoint is gone or damaged.
    package func restart(of name: ManifestName) -> RestartLabel? {
        // An unreadable checkpoint is shown without a name; `verify` reports it.
        guard let manifest = try? files.load(name).manifest else { return nil }
        return RestartLabel(
            runName: manifest.runName.isEmpty ? defaultRunName : manifest.runName,
            number: manifest.origin.restart, parentStep: manifest.parent?.step)
    }

    /// Observes the store and its writer now.
    ///
    /// - Parameter last: an earlier observation, whose ranks are returned again, because listing
    ///   the files of thousands of ranks is slow; nil lists them.
    /// - Throws: code `io` (the store cannot be listed).
    package func look(
        ranksAsIn last: WatchSample? = nil
    ) throws(CheckpointError) -> WatchSample {
        // Names first: a save that ends in between is reported as in flight now, and as committed
        // the next time.
        let names = try files.names()
        if let last { return WatchSample(status: status(), names: names, ranks: last.ranks) }
        // What cannot be listed now is shown the next time.
        let attempt = try? RankAttempts(files: files).inFlight(after: names.last)
        let ranks = attempt.flatMap { $0 }.flatMap { RankedSave($0) }
        return WatchSample(status: status(), names: names, ranks: ranks)
    }

    /// Returns the status that was written last. Status files left by killed writers of this
    /// machine are ignored.
    private func status() -> SaveStatus? {
        let found = (try? fileSystem.list(directories.staging)) ?? []  // a copy may lack staging/
        let records = found.filter { $0.hasSuffix(".status") }.compactMap {
            read(directories.staging.appending($0))
        }
        return records.filter { !Machine.hasEnded($0) }.max { $0.updated < $1.updated }
    }

    /// Reads a status file; tries again if the file is being overwritten.
    private func read(_ path: FilePath) -> SaveStatus? {
        for _ in 0..<10 {
            // A file that cannot be read was removed since it was listed.
            guard let bytes = try? fileSystem.contents(of: path, atMost: SaveStatus.bytes) else {
                return nil
            }
            if let status = SaveStatus(decoding: bytes, digest: Hashing.digest) { return status }
        }
        return nil
    }
}

internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
package import CheckpointStorage
internal import SystemPackage

/// One observation of a store and its writer.
package struct WatchSample: Sendable {
    /// Status of the writer; nil if there is no writer, or if it writes no status file.
    package var status: SaveStatus?
    /// Names of all checkpoints, oldest first.
    package var names: [ManifestName]

    package init(status: SaveStatus?, names: [ManifestName]) {
        (self.status, self.names) = (status, names)
    }
}

/// A change between two observations. Sizes in bytes, times in seconds.
package enum WatchEvent: Sendable, Equatable {
    /// A writer has started.
    case writer(process: Int, run: RunID)
    /// The writer has ended, or another one has replaced it.
    case writerGone(process: Int)
    case started(step: Int)
    case progress(Progress)
    /// A checkpoint was committed. Its cost is known only for the writer's last one.
    case committed(ManifestName, Took?)
    /// The next checkpoint is the first of another restart.
    case restarted(ManifestName)
    case removed(ManifestName)
    case failed(step: Int)

    package struct Progress: Sendable, Equatable {
        package var step: Int
        package var written: Int
        package var total: Int
        /// Bytes per second since the save began.
        package var speed: Double
        /// Seconds until everything is written, at that speed; nil if the speed is 0.
        package var remaining: Double?
        /// Seconds for which all saves so far have blocked training.
        package var stall: Double
    }

    package struct Took: Sendable, Equatable {
        package var seconds: Double
        package var stall: Double
        package var bytes: Int
        package var newBytes: Int
    }
}

/// Derives events from observations. Pure.
package struct WatchTracker: Sendable {
    private var last: WatchSample

    /// Creates a tracker.
    ///
    /// - Parameter first: the first observation. Its checkpoints are not events; its writer and save
    ///   in flight are, once it is passed to `observe`.
    package init(_ first: WatchSample) { last = WatchSample(status: nil, names: first.names) }

    /// Returns the changes since the previous observation.
    ///
    /// - Parameter next: the new observation.
    /// - Returns: events: the writer, restarts and commits, removals, then the save in flight.
    package mutating func observe(_ next: WatchSample) -> [WatchEvent] {
        defer { last = next }
        let old = Set(last.names)
        let new = Set(next.names)
        var events = writerEvents(next)
        var restarts = Set(last.names.map(\.run))
        for name in next.names where !old.contains(name) {
            if restarts.insert(name.run).inserted { events.append(.restarted(name)) }
            events.append(.committed(name, Self.took(name, next.status)))
        }
        events += last.names.filter { !new.contains($0) }.map { .removed($0) }
        guard let status = next.status else { return events }
        let before = last.status?.run == status.run ? last.status : nil
        let isNew = before?.id != status.id
        // The status file is updated only at intervals, so a published checkpoint takes precedence
        // over it.
        let isThere = new.contains(ManifestName(run: status.run, step: status.step))
        if status.isSaving, !isThere {
            if isNew { events.append(.started(step: status.step)) }
            if isNew || before?.written != status.written {
                events += Self.progress(status).map { [.progress($0)] } ?? []
            }
        }
        if status.phase == .failed, isNew || before?.phase != .failed {
            events.append(.failed(step: status.step))
        }
        return events
    }

    private func writerEvents(_ next: WatchSample) -> [WatchEvent] {
        guard last.status?.run != next.status?.run else { return [] }
        return (last.status.map { [.writerGone(process: $0.process)] } ?? [])
            + (next.status.map { [.writer(process: $0.process, run: $0.run)] } ?? [])
    }

    private static func progress(_ status: SaveStatus) -> WatchEvent.Progress? {
        guard status.total > 0 else { return nil }
        let seconds = Double(max(status.updated - status.started, 1)) / 1000
        let speed = Double(status.written) / seconds
        return WatchEvent.Progress(
            step: status.step, written: status.written, total: status.total, speed: speed,
            remaining: speed > 0 ? Double(max(status.total - status.written, 0)) / speed : nil,
            stall: Double(status.stall) / 1e6)
    }

    /// Returns the duration, size and stall of a save; nil if the status is about another save, or
    /// about none.
    ///
    /// - Parameters:
    ///   - name: the checkpoint.
    ///   - status: the writer's status.
    package static func took(_ name: ManifestName, _ status: SaveStatus?) -> WatchEvent.Took? {
        guard let status, status.run == name.run, status.lastStep == name.step,
            status.committedCount > 0
        else { return nil }
        return WatchEvent.Took(
            seconds: Double(status.lastDuration) / 1e6, stall: Double(status.lastStall) / 1e6,
            bytes: status.lastBytes,
            newBytes: status.lastNewBytes)
    }
}

/// A restart as it is shown to a person.
package struct RestartLabel: Sendable, Equatable {
    /// Name of the run.
    package var runName: String
    /// Number of the restart in the run; 0 is the first life of the process.
    package var number: Int
    /// Step of the checkpoint that it was resumed from; nil if it began without one.
    package var parentStep: Int?
}

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
    /// - Throws: code `io` (the store cannot be listed).
    package func look() throws(CheckpointError) -> WatchSample {
        // Names first: a save that ends in between is reported as in flight now, and as committed
        // the next time.
        let names = try files.names()
        return WatchSample(status: status(), names: names)
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

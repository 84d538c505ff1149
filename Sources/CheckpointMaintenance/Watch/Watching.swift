package import CheckpointStorage
internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// What a look at a store shows of its writer.
package struct WatchSample: Sendable {
    /// Of the writer; nil if there is none, or it tells nothing.
    package var status: SaveStatus?
    /// Of all checkpoints, oldest first.
    package var names: [ManifestName]

    package init(status: SaveStatus?, names: [ManifestName]) { (self.status, self.names) = (status, names) }
}

/// What has happened between two looks. Sizes in bytes, times in seconds.
package enum WatchEvent: Sendable, Equatable {
    /// A writer is there.
    case writer(process: Int, run: RunID)
    /// A writer is there no more, or somebody else writes now.
    case writerGone(process: Int)
    case started(step: Int)
    case progress(Progress)
    /// A checkpoint is there. What it took is known only of the last one.
    case committed(ManifestName, Took?)
    case removed(ManifestName)
    case failed(step: Int)

    package struct Progress: Sendable, Equatable {
        package var step: Int
        package var written: Int
        package var total: Int
        /// Bytes in a second since the save began.
        package var speed: Double
        /// Until everything is written, at that speed.
        package var remaining: Double?
        /// That training has been held up by all saves so far.
        package var stall: Double
    }

    package struct Took: Sendable, Equatable {
        package var seconds: Double
        package var stall: Double
        package var bytes: Int
        package var newBytes: Int
    }
}

/// Turns looks at a store into events: pure.
package struct WatchTracker: Sendable {
    private var last: WatchSample

    /// - Parameter first: what there is to begin with, of which only a writer and a save in flight are events.
    package init(_ first: WatchSample) { last = WatchSample(status: nil, names: first.names) }

    package mutating func observe(_ next: WatchSample) -> [WatchEvent] {
        defer { last = next }
        let old = Set(last.names)
        let new = Set(next.names)
        var events = writerEvents(next)
        events += next.names.filter { !old.contains($0) }.map { .committed($0, Self.took($0, next.status)) }
        events += last.names.filter { !new.contains($0) }.map { .removed($0) }
        guard let status = next.status else { return events }
        let before = last.status?.run == status.run ? last.status : nil
        let isNew = before?.id != status.id
        // The file is written over only now and then; the checkpoint that is there says more.
        let isThere = new.contains(ManifestName(run: status.run, step: status.step))
        if status.isSaving, !isThere {
            if isNew { events.append(.started(step: status.step)) }
            if isNew || before?.written != status.written { events += Self.progress(status).map { [.progress($0)] } ?? [] }
        }
        if status.phase == .failed, isNew || before?.phase != .failed { events.append(.failed(step: status.step)) }
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
            remaining: speed > 0 ? Double(max(status.total - status.written, 0)) / speed : nil, stall: Double(status.stall) / 1e6)
    }

    private static func took(_ name: ManifestName, _ status: SaveStatus?) -> WatchEvent.Took? {
        guard let status, status.run == name.run, status.lastStep == name.step, status.committedCount > 0 else { return nil }
        return WatchEvent.Took(
            seconds: Double(status.lastDuration) / 1e6, stall: Double(status.lastStall) / 1e6, bytes: status.lastBytes,
            newBytes: status.lastNewBytes)
    }
}

extension CheckpointStore {
    /// What there is to be seen now.
    package func look() throws(CheckpointError) -> WatchSample {
        // First the names: a save that ends in between is then seen as under way, and as committed the next time.
        let names = try files.names()
        return WatchSample(status: status(), names: names)
    }

    /// Of several the one written last; those that a killed writer of this machine has left count for nothing.
    private func status() -> SaveStatus? {
        let found = (try? fileSystem.list(directories.staging)) ?? []  // it may be missing from a copy
        let records = found.filter { $0.hasSuffix(".status") }.compactMap { read(directories.staging.appending($0)) }
        return records.filter { !Machine.hasEnded($0) }.max { $0.updated < $1.updated }
    }

    /// A record that is being written over is read again.
    private func read(_ path: FilePath) -> SaveStatus? {
        for _ in 0..<10 {
            guard let bytes = try? fileSystem.contents(of: path, atMost: SaveStatus.bytes) else { return nil }  // gone since it was listed
            if let status = SaveStatus(decoding: bytes, digest: Hashing.digest) { return status }
        }
        return nil
    }
}

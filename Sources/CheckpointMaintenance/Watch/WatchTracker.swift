internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

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
    /// - Returns: events: the writer, restarts and commits, removals, the ranks of the save in
    ///   flight, then its progress.
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
        if let status = next.status, status.mirroredCount > 0 {
            let before = last.status?.process == status.process ? last.status : nil
            if before?.mirroredCount != status.mirroredCount {
                events.append(.mirrored(step: status.mirroredStep))
            }
        }
        if let ranks = next.ranks, ranks != last.ranks { events.append(.ranks(ranks)) }
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

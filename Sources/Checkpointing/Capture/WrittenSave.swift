internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// A save whose every block is written: all that its manifest and its report are made from.
struct WrittenSave {
    let task: SaveTask
    let progress: SaveProgress
    /// The most arena memory in use so far.
    let arenaHighWaterBytes: Int

    /// Returns the manifest, once every segment is sealed.
    func manifest(_ segments: [SegmentReference]) -> Manifest {
        var builder = ManifestBuilder(task, progress, task.chunks.withLock { $0 }, segments)
        return builder.manifest()
    }

    /// Returns the report of the committed save.
    ///
    /// - Parameter isUnchanged: whether the tensors are those of the save before it.
    func report(_ manifest: Manifest, isUnchanged: Bool) -> SaveReport {
        let (reused, derived) = task.chunks.withLock { ($0.reusedBytes, $0.castBytes) }
        let timing = task.timing.withLock { $0 }
        let stall = timing.stall.report(at: .now)
        return SaveReport(
            step: manifest.step, id: manifest.id, logicalBytes: manifest.logicalBytes,
            storedBytes: manifest.storedBytes, newBytes: progress.newBytes, reusedBytes: reused,
            derivedBytes: derived, compression: task.encoder.compression,
            compressionReason: task.output.levelReason, liveBytes: progress.bytes.live,
            fencedBytes: progress.bytes.fenced, timeToCaptured: timing.toCaptured,
            timeToDurable: timing.toDurable, timeToCommitted: task.age, isUnchanged: isUnchanged,
            stallSubmit: stall.submit, stallFence: stall.fence,
            stallBackpressure: stall.backpressure, arenaHighWaterBytes: arenaHighWaterBytes)
    }
}

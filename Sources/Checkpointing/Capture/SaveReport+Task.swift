internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments

extension SaveReport {
    /// Collects the results of a committed save.
    ///
    /// - Parameters:
    ///   - manifest: the published manifest.
    ///   - task: the save.
    ///   - progress: its results, which no thread changes any more.
    ///   - isUnchanged: whether the tensors are those of the save before it.
    init(_ manifest: Manifest, _ task: SaveTask, _ progress: SaveProgress, isUnchanged: Bool) {
        let (reused, derived, copied) = task.chunks.withLock {
            ($0.reusedBytes, $0.castBytes, $0.replicaBytes)
        }
        let timing = task.timing.withLock { $0 }
        let stall = timing.stall(at: .now)
        self.init(
            step: manifest.step, id: manifest.id, logicalBytes: manifest.logicalBytes,
            storedBytes: manifest.storedBytes, newBytes: progress.newBytes, reusedBytes: reused,
            derivedBytes: derived, copiedBytes: copied, compression: task.encoder.compression,
            compressionReason: task.output.choice?.reason, liveBytes: progress.bytes.live,
            fencedBytes: progress.bytes.fenced, timeToCaptured: progress.timeToCaptured,
            timeToDurable: timing.toDurable, timeToCommitted: task.age, isUnchanged: isUnchanged,
            stallSubmit: stall.submit, stallFence: stall.fence,
            stallBackpressure: stall.backpressure,
            arenaHighWaterBytes: progress.arenaHighWaterBytes)
    }
}

internal import CheckpointFormat
package import CheckpointStorage

/// A save of several ranks that is not committed yet, as their files show it.
package struct RankedSave: Sendable, Equatable {
    package var step: Int
    package var worldSize: Int
    /// Ranks that have begun, ascending.
    package var begun: [Int]
    /// Ranks whose part is on stable storage, ascending.
    package var durable: [Int]
    /// Ranks that have recorded a failure, ascending.
    package var failed: [Int]

    /// Ranks that have not begun, ascending.
    package var absent: [Int] {
        let known = Set(begun + durable + failed)
        return (0..<worldSize).filter { !known.contains($0) }
    }

    /// Ranks that have begun, and have neither ended nor failed, ascending.
    package var unfinished: [Int] {
        let ended = Set(durable + failed)
        return begun.filter { !ended.contains($0) }
    }

    /// Describes an attempt; nil if none of its ranks has begun.
    package init?(_ attempt: RankAttempts.Attempt) {
        guard let worldSize = attempt.worldSize else { return nil }
        step = attempt.name.checkpoint.step
        self.worldSize = worldSize
        (begun, durable, failed) = (attempt.begun, attempt.saved, attempt.failed)
    }

    package init(step: Int, worldSize: Int, begun: [Int], durable: [Int], failed: [Int]) {
        (self.step, self.worldSize) = (step, worldSize)
        (self.begun, self.durable, self.failed) = (begun, durable, failed)
    }
}

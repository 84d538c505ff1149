internal import CheckpointStorage

/// The times of one save: how long its phases took, and how long the trainer's thread waited for
/// it.
///
/// A wait that has not ended counts up to now: a small save may be committed before `save` has
/// returned.
struct SaveTiming {
    /// A cause of waiting.
    enum Wait {
        case submit
        case fence
    }

    var toDurable = Duration.zero
    private var total = StallReport()
    private var running: (kind: Wait, since: ContinuousClock.Instant)?
    /// Nesting depth: a fence passed inside `save` counts as part of the submit.
    private var depth = 0

    /// Begins the submit at `submitted`, after a wait of `waited` for admission.
    mutating func begin(submitted: ContinuousClock.Instant, backpressure waited: Duration) {
        total.backpressure += waited
        begin(.submit, at: submitted)
    }

    mutating func begin(_ kind: Wait, at now: ContinuousClock.Instant) {
        depth += 1
        if depth == 1 { running = (kind, now) }
    }

    /// Moves part of the current fence to the time spent waiting for the disk.
    mutating func move(toBackpressure duration: Duration) {
        guard case (.fence, let since)? = running else { return }
        total.backpressure += duration
        running = (.fence, since + duration)
    }

    /// Adds a completed wait of a thread that is in no other wait.
    mutating func add(fence: Duration, backpressure: Duration) {
        total.fence += fence
        total.backpressure += backpressure
    }

    mutating func end(at now: ContinuousClock.Instant) {
        precondition(depth > 0, "the end of a wait that has not begun")
        depth -= 1
        guard depth == 0 else { return }
        total = stall(at: now)
        running = nil
    }

    func stall(at now: ContinuousClock.Instant) -> StallReport {
        var report = total
        switch running {
        case (.submit, let since)?: report.submit += now - since
        case (.fence, let since)?: report.fence += now - since
        case nil: break
        }
        return report
    }
}

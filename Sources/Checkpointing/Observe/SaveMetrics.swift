internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage
internal import CoreMetrics

/// Metrics of saves, recorded once for each save and never for a block:
///
/// | Label | Kind | Dimension | Meaning |
/// |---|---|---|---|
/// | `ckpt_saves_total` | counter | `outcome`: `committed`, `failed`, `skipped`, `cancelled` | saves with this outcome |
/// | `ckpt_logical_bytes_total` | counter | | bytes of tensors and objects of committed saves, before encoding |
/// | `ckpt_stored_bytes_total` | counter | | bytes of their blocks, as stored |
/// | `ckpt_save_duration` | timer | `until`: `captured`, `durable`, `committed` | from the call of `save`, for each committed save |
/// | `ckpt_stall_duration` | timer | `kind`: `submit`, `fence`, `backpressure` | time that the trainer waited, for each committed save |
/// | `ckpt_arena_high_water_bytes` | gauge | | the most arena memory in use so far |
/// | `ckpt_saves_in_flight` | gauge | | saves that have started and not ended |
///
/// Any thread. Its lock is held while the gauge of saves in flight is set.
final class SaveMetrics: Sendable {
    enum Outcome: String, CaseIterable {
        case committed, failed, skipped, cancelled

        init(_ code: CheckpointError.Code) {
            switch code {
            case .skipped: self = .skipped
            case .cancelled: self = .cancelled
            default: self = .failed
            }
        }
    }

    private let saves: [Outcome: Counter]
    private let logicalBytes, storedBytes: Counter
    private let captured, durable, committed: Timer
    private let submit, fence, backpressure: Timer
    private let arena, inFlight: Gauge
    /// Saves that have started and not ended.
    private let flying = Monitor<Set<CheckpointID>>([], rank: .metrics)

    init(_ factory: any MetricsFactory) {
        func timer(_ label: String, _ dimension: String, _ value: String) -> Timer {
            Timer(label: label, dimensions: [(dimension, value)], factory: factory)
        }
        saves = Dictionary(
            uniqueKeysWithValues: Outcome.allCases.map {
                ($0, Counter(label: "ckpt_saves_total", dimensions: [("outcome", $0.rawValue)], factory: factory))
            })
        logicalBytes = Counter(label: "ckpt_logical_bytes_total", factory: factory)
        storedBytes = Counter(label: "ckpt_stored_bytes_total", factory: factory)
        captured = timer("ckpt_save_duration", "until", "captured")
        durable = timer("ckpt_save_duration", "until", "durable")
        committed = timer("ckpt_save_duration", "until", "committed")
        submit = timer("ckpt_stall_duration", "kind", "submit")
        fence = timer("ckpt_stall_duration", "kind", "fence")
        backpressure = timer("ckpt_stall_duration", "kind", "backpressure")
        arena = Gauge(label: "ckpt_arena_high_water_bytes", factory: factory)
        inFlight = Gauge(label: "ckpt_saves_in_flight", factory: factory)
    }

    func started(_ id: CheckpointID) {
        flying.withLock { flying in
            flying.insert(id)
            inFlight.record(flying.count)
        }
    }

    func committed(_ report: SaveReport) {
        ended(report.id, .committed)
        logicalBytes.increment(by: report.logicalBytes)
        storedBytes.increment(by: report.storedBytes)
        captured.record(report.timeToCaptured)
        durable.record(report.timeToDurable)
        committed.record(report.timeToCommitted)
        submit.record(report.stallSubmit)
        fence.record(report.stallFence)
        backpressure.record(report.stallBackpressure)
        arena.record(report.arenaHighWaterBytes)
    }

    func failed(_ id: CheckpointID, _ error: CheckpointError) { ended(id, Outcome(error.code)) }

    private func ended(_ id: CheckpointID, _ outcome: Outcome) {
        saves[outcome]?.increment()
        flying.withLock { flying in
            // A save that was refused has not started.
            if flying.remove(id) != nil { inFlight.record(flying.count) }
        }
    }
}

extension Timer {
    fileprivate func record(_ duration: Duration) { recordNanoseconds(Int64(duration / .nanoseconds(1))) }
}

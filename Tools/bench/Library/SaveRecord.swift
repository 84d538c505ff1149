internal import CheckpointFormat
internal import CheckpointIO
internal import Checkpointing

/// What one save cost the loop, and how it went. Times in seconds.
struct SaveRecord: Sendable {
    let step: Int
    /// When it was asked for, since the beginning of the phase.
    let called: Double
    /// In `save`, but for waiting for an earlier one.
    let submit: Double
    let fence: Double
    let backpressure: Double
    /// The whole step that the save was asked for in.
    let stepTime: Double
    /// What the engine told of it when it was committed.
    var report: SaveReport?

    var committed: Double? { report?.timeToCommitted.seconds }

    var json: JSONValue {
        .object([
            .init("step", .count(step)), .init("called_s", .number(called)), .init("submit_ms", .number(submit * 1e3)),
            .init("fence_s", .number(fence)), .init("backpressure_s", .number(backpressure)),
            .init("step_s", .number(stepTime)), .init("captured_s", seconds(report?.timeToCaptured)),
            .init("durable_s", seconds(report?.timeToDurable)), .init("committed_s", seconds(report?.timeToCommitted)),
            .init("new_bytes", report.map { .count($0.newBytes) } ?? .null),
            .init("reused_bytes", report.map { .count($0.reusedBytes) } ?? .null),
            .init("derived_bytes", report.map { .count($0.derivedBytes) } ?? .null),
        ])
    }

    private func seconds(_ duration: Duration?) -> JSONValue { duration.map { .number($0.seconds) } ?? .null }
}

/// Hears what the engine tells on its own threads.
final class SaveListener: Sendable {
    private struct Heard {
        var reports: [Int: SaveReport] = [:]
        var failure: CheckpointError?
    }

    private let heard = Monitor(Heard())

    func hear(_ event: CheckpointEvent) {
        switch event {
        case .committed(let report): heard.withLock { $0.reports[report.step] = report }
        // A skipped save is what was asked for.
        case .failed(_, let error) where error.code != .skipped: heard.withLock { $0.failure = $0.failure ?? error }
        default: break
        }
    }

    var reports: [Int: SaveReport] { heard.withLock { $0.reports } }
    /// The first failure.
    var failure: CheckpointError? { heard.withLock { $0.failure } }
}

internal import CheckpointFormat
internal import CheckpointIO
internal import Checkpointing

/// Cost of one save to the loop, and its outcome. Times are in seconds.
struct SaveRecord: Sendable {
    let step: Int
    /// Time of the request, since the beginning of the phase.
    let called: Double
    /// Time in `save`, excluding backpressure.
    let submit: Double
    let fence: Double
    let backpressure: Double
    /// Duration of the complete step that requested the save.
    let stepTime: Double
    /// The engine's report at the commit; nil if the save was not committed.
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
            .init("copied_bytes", report.map { .count($0.copiedBytes) } ?? .null),
        ])
    }

    private func seconds(_ duration: Duration?) -> JSONValue { duration.map { .number($0.seconds) } ?? .null }
}

/// Listener for the engine's events, which arrive on the engine's threads.
final class SaveListener: Sendable {
    private struct Heard {
        var reports: [Int: SaveReport] = [:]
        var failure: CheckpointError?
    }

    private let heard = Monitor(Heard())

    func hear(_ event: CheckpointEvent) {
        switch event {
        case .committed(let report): heard.withLock { $0.reports[report.step] = report }
        // Skipping is not a failure: the backpressure policy asks for it.
        case .failed(_, let error) where error.code != .skipped: heard.withLock { $0.failure = $0.failure ?? error }
        default: break
        }
    }

    var reports: [Int: SaveReport] { heard.withLock { $0.reports } }
    /// The first failure; nil if no save failed.
    var failure: CheckpointError? { heard.withLock { $0.failure } }
}

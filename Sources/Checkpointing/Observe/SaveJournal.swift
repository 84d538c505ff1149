internal import CheckpointFormat
internal import CheckpointStorage
internal import Foundation
internal import Logging

/// Writes the progress of saves to the log: one line for each save at level debug, its stages at
/// level trace. Every line has the metadata `step`; lines of a save also have `checkpoint`, the id
/// if it commits.
///
/// Any thread; the log handler decides about locks.
struct SaveJournal: Sendable {
    let logger: Logger

    func started(_ task: SaveTask) {
        logger.trace(
            "step \(task.ticket.step) started",
            metadata: label(task.ticket, ["bytes": "\(task.plan.totalBytes)"]))
    }

    func captured(_ task: SaveTask) {
        logger.trace("step \(task.ticket.step) captured", metadata: timed(task))
    }

    func durable(_ task: SaveTask) {
        logger.trace("step \(task.ticket.step) durable", metadata: timed(task))
    }

    func committed(_ report: SaveReport) {
        let milliseconds = Int((report.timeToCommitted / .milliseconds(1)).rounded())
        logger.debug(
            "step \(report.step) committed in \(milliseconds) ms", metadata: Self.metadata(report))
    }

    func mirrored(step: Int, bytes: Int) {
        logger.debug(
            "step \(step) is in the mirror", metadata: ["step": "\(step)", "bytes": "\(bytes)"])
    }

    /// Logs a failure. A save that was skipped or cancelled is not an error.
    func failed(_ ticket: SaveTicket, _ error: CheckpointError) {
        let isDecided = error.code == .skipped || error.code == .cancelled
        logger.log(
            level: isDecided ? .notice : .error, "save of step \(ticket.step) failed: \(error)",
            metadata: label(ticket, ["code": "\(error.code.rawValue)"]))
    }

    func note(_ message: String) { logger.notice("\(message)") }

    func warning(_ message: String) { logger.warning("\(message)") }

    private func timed(_ task: SaveTask) -> Logger.Metadata {
        label(task.ticket, ["seconds": "\(Self.seconds(task.age))"])
    }

    private func label(_ ticket: SaveTicket, _ more: Logger.Metadata) -> Logger.Metadata {
        more.merging(["step": "\(ticket.step)", "checkpoint": "\(ticket.id)"]) { $1 }
    }

    private static func metadata(_ report: SaveReport) -> Logger.Metadata {
        [
            "step": "\(report.step)", "checkpoint": "\(report.id)",
            "bytes": "\(report.logicalBytes)",
            "stored_bytes": "\(report.storedBytes)", "ratio": "\(rounded(report.ratio))",
            "seconds": "\(seconds(report.timeToCommitted))",
            "gb_per_s": "\(rounded(report.bytesPerSecond / 1e9))",
            "stall_seconds":
                "\(seconds(report.stallSubmit + report.stallFence + report.stallBackpressure))",
        ]
    }

    private static func rounded(_ value: Double) -> String { String(format: "%.3f", value) }

    private static func seconds(_ duration: Duration) -> String {
        String(format: "%.6f", duration / .seconds(1))
    }
}

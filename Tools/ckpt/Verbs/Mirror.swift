import ArgumentParser
internal import CheckpointObjects
import Checkpointing
import Foundation

struct Mirror: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "mirror",
        abstract: "Keeps a mirror of a store in another directory or in a bucket.",
        usage: "ckpt mirror STORE DST [options]",
        discussion: """
            Example: ckpt mirror runs/first /archive/first

            DST is a directory or s3://BUCKET/PREFIX; it is empty, or contains a mirror of this \
            store. Sends every checkpoint that DST does not have, newest first, then tags and \
            pins. After an interruption, run the same command to continue: checkpoints that DST \
            has are not sent again. With --follow, also mirrors each new checkpoint, until \
            Control-C. Checkpoints that are deleted from STORE stay in DST. To \
            bring back a lost store, mirror DST into an empty directory: a trainer resumes there as if nothing had happened. To add \
            checkpoints to another store, use ckpt copy. Exit code 1 means that damaged checkpoints were not mirrored.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(
        help: ArgumentHelp("Directory or s3://BUCKET/PREFIX of the mirror.", valueName: "dst"),
        completion: .directory)
    var target: String

    @Flag(help: "Keeps running and mirrors each new checkpoint, until Control-C.")
    var follow = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Sends at most this many MB per second.", valueName: "mb-per-second"))
    var limit: Double?

    func validate() throws {
        _ = try StoreAddress(target)
        if let limit, !(limit > 0 && limit < 1e9) {
            throw ValidationError("--limit must be more than 0 and less than 1e9 MB per second.")
        }
    }

    func execute() throws -> ExitCode {
        let store = try common.open()
        let speed = limit.map { Int($0 * 1e6) }
        let mirror = try StoreMirror(
            of: store, to: StoreAddress(target).place, bytesPerSecond: speed.map { max($0, 1) })
        let progress = ProgressLine("mirroring")
        var code = ExitCode.fine
        try Interruption.cancelling { cancellation in
            var known: Int?
            repeat {
                let report: MirrorReport
                do throws(CheckpointError) {
                    report = try mirror.synchronize(
                        cancellation: cancellation, onProgress: { progress.show($0, of: $1) })
                } catch {
                    // Somebody removes checkpoints of the mirror, for a moment.
                    guard follow, error.code == .busy else { throw error }
                    pause(cancellation)
                    continue
                }
                ProgressLine.clear()
                if known == nil || report.objectCount + report.markCount > 0 { show(report) }
                try Output.flush()
                if report.checkpoints.contains(where: { $0.outcome == .failed }) { code = .difference }
                known = report.checkpoints.count
                guard follow else { break }
                pause(cancellation)
            } while !cancellation.isCancelled
        }
        // Of a mirror that follows, a signal is the only end.
        if follow { Interruption.endIfInterrupted() }
        return code
    }

    /// Waits until the store is looked at again.
    private func pause(_ cancellation: Cancellation) {
        let end = ContinuousClock.now + .seconds(2)
        while ContinuousClock.now < end, !cancellation.isCancelled { usleep(50_000) }
    }

    private func show(_ report: MirrorReport) {
        if common.json { return printJSON(report) }
        for row in report.checkpoints {
            switch row.outcome {
            case .mirrored:
                Output.line("mirrored step \(row.step), sent \(Output.size(row.newBytes))")
            case .failed:
                Output.warn("step \(row.step) was not mirrored: \(row.error.map { "\($0)" } ?? "?")")
            case .present, .gone, .unwanted: continue
            }
        }
        let sent = report.checkpoints.count { $0.outcome == .mirrored }
        let present = report.checkpoints.count { $0.outcome == .present }
        let marks = report.markCount == 0 ? "" : ", tags and pins: \(report.markCount)"
        Output.line(
            "mirrored \(Output.count(sent, "checkpoint"))\(marks), sent \(Output.size(report.newBytes)); "
                + "\(present) already in the mirror")
    }

    private func printJSON(_ report: MirrorReport) {
        let rows = report.checkpoints.map { row in
            JSONValue.object([
                .init("step", .count(row.step)), .init("outcome", .string(row.outcome.rawValue)),
                .init("new_bytes", .count(row.newBytes)),
                .init("error", row.error.map { .error($0) } ?? .null),
            ])
        }
        Output.json(
            .object([
                .init("new_bytes", .count(report.newBytes)),
                .init("objects", .count(report.objectCount)),
                .init("marks", .count(report.markCount)),
                .init("transfer_check", report.transferCheck.map { .string($0.rawValue) } ?? .null),
                .init("checkpoints", .array(rows)),
            ]))
    }
}

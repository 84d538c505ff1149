import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// Lives of the real trainer that end in other ways than with `close`.
@Suite("Restarts of trainers", .timeLimit(.minutes(20)))
struct RestartTests {
    /// One save of several chunks, which takes some seconds to write.
    private static let slow = [
        "--model", "small", "--batch", "1", "--steps", "1", "--every", "1", "--compression", "none", "--bytes-per-second", "4000000",
    ]

    private func steps(in store: String) throws -> [Int] {
        try CheckpointStore.open(store).checkpoints().map { try $0.get().step }
    }

    @Test("a process that exits without close commits its last save first")
    func exit() throws {
        let directory = try TemporaryDirectory()
        let store = directory.appending("store")
        let outcome = try Program("ReferenceTrainer").run(
            ["--store", store] + Self.slow + ["--after-last-save", "exit"], in: directory)
        #expect(outcome.status == 0, "\(outcome.output)")
        let finished = outcome.lines.firstIndex { $0.hasPrefix("finished") }
        let committed = outcome.lines.firstIndex { $0.hasPrefix("committed") }
        #expect((finished ?? .max) < (committed ?? 0), "\(outcome.output)")
        #expect(try steps(in: store) == [1], "\(outcome.output)")
    }

    /// Reactions to SIGTERM, of a program that sleeps after its last save.
    enum Reaction: CaseIterable {
        case none, publish, stopInTime, stopTooLate

        var arguments: String {
            switch self {
            case .none: ""
            case .publish: "--publish-on-term 60"
            case .stopInTime: "--stop-on-term 60"
            case .stopTooLate: "--stop-on-term 1"
            }
        }
    }

    @Test("SIGTERM publishes the save in flight if that is asked for", arguments: [Reaction.none, .publish])
    func terminate(reaction: Reaction) throws {
        let (end, steps) = try endBySignal(reaction, after: "finished", Self.slow + ["--after-last-save", "sleep"])
        #expect(end.output.hasSuffix("status 143\n"), "\(end.output)")
        #expect(steps == (reaction == .publish ? [1] : []), "\(end.output)")
    }

    @Test("SIGTERM asks a loop to end; one that does not is ended", arguments: [Reaction.stopInTime, .stopTooLate])
    func stop(reaction: Reaction) throws {
        let isPatient = reaction == .stopInTime
        let (end, steps) = try endBySignal(
            reaction, after: isPatient ? "step 10 " : "committed step 10",
            ["--model", "tiny", "--batch", "2", "--arena", "1"]
                + (isPatient
                    ? ["--steps", "100000", "--every", "100000"]
                    : ["--steps", "10", "--every", "10", "--after-last-save", "sleep"]))
        #expect(end.output.hasSuffix("status \(isPatient ? 0 : 143)\n"), "\(end.output)")
        let step = try #require(steps.first, "\(end.output)")
        #expect(steps.count == 1 && (step > 10) == isPatient, "\(end.output)")
        #expect(end.output.contains("stopped by SIGTERM at step \(step)") == isPatient, "\(end.output)")
    }

    /// Runs the trainer, and sends it SIGTERM after it has printed a line.
    ///
    /// - Returns: its end, with its output, and the steps of the store.
    private func endBySignal(
        _ reaction: Reaction, after line: String, _ arguments: [String]
    ) throws -> (ProcessOutcome, [Int]) {
        let directory = try TemporaryDirectory()
        let store = directory.appending("store")
        let script = """
            # Foundation starts processes with signals blocked.
            unblocked() { exec python3 -c 'import os, signal, sys
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM}); os.execv(sys.argv[1], sys.argv[1:])' "$@"; }
            unblocked '\(try Program("ReferenceTrainer").path)' --store '\(store)' \(arguments.joined(separator: " ")) \
              \(reaction.arguments) > '\(directory.appending("log"))' &
            trainer=$!
            for i in $(seq 600); do grep -q '^\(line)' '\(directory.appending("log"))' && break; sleep 0.05; done
            kill -TERM $trainer
            for i in $(seq 1200); do kill -0 $trainer 2> /dev/null || break; sleep 0.1; done
            kill -KILL $trainer 2> /dev/null
            wait $trainer; status=$?
            cat '\(directory.appending("log"))'; echo "status $status"
            """
        return (try runProcess("/bin/bash", ["-c", script]), try steps(in: store))
    }

    /// A spot instance: killed and started again, with a disk for four checkpoints.
    @Test(
        "fifty killed restarts on a disk for four checkpoints: every life resumes and saves, and two checkpoints remain",
        .enabled(if: Requirement.mount.isTested, "\(Requirement.mount.reason)"))
    func spot() throws {
        try Requirement.mount.check()
        let directory = try TemporaryDirectory()
        let trainer = try Program("ReferenceTrainer").path
        let ckpt = URL(fileURLWithPath: trainer).deletingLastPathComponent().appendingPathComponent("ckpt").path
        let arguments = "--model tiny --batch 2 --arena 1 --compression none --steps 240 --every 2 --keep-last 2 --fingerprints"
        let outcome = try SmallDisk.run(
            """
            cd '\(directory.path)'
            train() { '\(trainer)' --store "$DISK/store" \(arguments) "$@"; }
            # However loaded the machine is, some of the first nine saves are committed.
            train --kill-during-save 20 > log
            '\(ckpt)' prune "$DISK/store" --keep-last 1 > log
            '\(ckpt)' clean "$DISK/store" > log
            size=$(du -s --block-size=1k "$DISK" | cut -f1)
            mount -o remount,size=$((size * 4))k "$DISK"
            for life in $(seq 50); do
              train --kill-during-save $((life * 4 + 20)) > log
              [ $? = 137 ] || { echo "PROBLEM: life $life was not killed"; tail -n 5 log; }
              grep -q "resumed from step" log || { echo "PROBLEM: life $life began anew"; head -n 3 log; }
              ! grep -q failed log || { echo "PROBLEM: life $life failed to save"; grep failed log; }
            done
            train > log; echo "status $?"
            grep 'resumed from\\|finished' log
            '\(ckpt)' ls "$DISK/store" --json
            """, size: "64m", in: directory)
        let twin = try Program("ReferenceTrainer").run(
            ["--store", directory.appending("twin")] + arguments.split(separator: " ").map(String.init), in: directory)
        let report = TrainerReport(outcome.output.split(separator: "\n").map(String.init))
        #expect(!outcome.output.contains("PROBLEM: "), "\(outcome.output)")
        #expect((report.resumed?.step ?? 0) >= 210 && report.finished == TrainerReport(twin.lines).finished, "\(outcome.output)")
        let list = try #require(outcome.output.split(separator: "\n").last { $0.hasPrefix("{\"store\"") })
        #expect(list.components(separatedBy: "\"step\":").count == 3, "\(list)")
        #expect(list.contains("\"restart\":4") || list.contains("\"restart\":5"), "\(list)")
        #expect(list.contains("\"step\":240") && list.contains("\"step\":238"), "\(list)")
    }
}

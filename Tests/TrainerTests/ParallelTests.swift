import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// The trainer as several processes of Open MPI.
@Suite("Parallel trainers", .timeLimit(.minutes(20)))
struct ParallelTests {
    private let directory: TemporaryDirectory
    private let trainer: Program

    init() throws {
        directory = try TemporaryDirectory()
        trainer = try Program("ReferenceTrainer")
    }

    private func arguments(
        _ processes: Int, _ store: String, steps: Int, _ more: [String]
    ) -> [String] {
        [
            "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "\(processes)", trainer.path,
            "--mpi", "--store", directory.appending(store), "--model", "tiny", "--steps",
            "\(steps)",
            "--every", "4", "--batch", "12", "--fingerprints", "--arena", "1",
        ] + more
    }

    private func train(
        _ processes: Int, _ store: String, steps: Int = 12, _ more: [String] = []
    ) throws -> ProcessOutcome {
        // Open MPI's own words about killed processes do not matter.
        return try runProcess(
            "/usr/bin/env", arguments(processes, store, steps: steps, more),
            environment: ["OMPI_MCA_btl_vader_single_copy_mechanism": "none"])
    }

    /// The loss of each step, as its bits.
    private func losses(_ store: String) throws -> [String] {
        try String(contentsOfFile: directory.appending("\(store).log"), encoding: .utf8)
            .split(separator: "\n").map(String.init)
    }

    private func copy(_ store: String, to other: String) throws {
        try FileManager.default.copyItem(
            atPath: directory.appending(store), toPath: directory.appending(other))
    }

    private func report(_ outcome: ProcessOutcome) -> TrainerReport {
        TrainerReport(outcome.output.split(separator: "\n").map(String.init))
    }

    @Test(
        "Four processes, one killed in the middle of a save, go on as three, two or one: as if begun there",
        .enabled(if: Requirement.mpi.isTested, "\(Requirement.mpi.reason)"))
    func elastic() throws {
        try Requirement.mpi.check()
        let first = try train(4, "store", steps: 4)
        #expect(first.status == 0 && report(first).committed == [4], "\(first)")
        let saved = try #require(report(first).saved[4])
        // What the kill is compared with has never seen it.
        try copy("store", to: "begun")
        let killed = try train(4, "store", ["--kill-during-save", "8", "--kill-rank", "2"])
        #expect(killed.status != 0)
        #expect(report(killed).resumed?.state == saved, "\(killed)")
        #expect(report(killed).committed.isEmpty, "\(killed)")
        for processes in 1...3 {
            for source in ["store", "begun"] {
                let twin = "\(source)-\(processes)"
                try copy(source, to: twin)
                let log = directory.appending("\(twin).log")
                let run = try train(processes, twin, ["--loss-log", log])
                #expect(run.status == 0, "\(run)")
                let resumed = try #require(report(run).resumed, "\(run)")
                #expect(resumed.step == 4 && resumed.state == saved, "\(run)")
                #expect(report(run).committed == [8, 12])
            }
            #expect(try losses("store-\(processes)").count == 8)
            #expect(try losses("store-\(processes)") == losses("begun-\(processes)"))
        }
        // Without Open MPI, a process restores what the others had.
        let alone = try trainer.run(
            [
                "--store", directory.appending("begun-2"), "--model", "tiny", "--steps", "14",
                "--every", "14", "--batch", "12", "--arena", "1",
            ], in: directory)
        #expect(alone.status == 0, "\(alone.output)")
        #expect(alone.output.contains("resumed from step 12"), "\(alone.output)")
    }

    @Test(
        "SIGTERM to one of four processes: all save after the same step and end, and lose no step",
        .enabled(if: Requirement.mpi.isTested, "\(Requirement.mpi.reason)"))
    func oneIsToldToEnd() throws {
        try Requirement.mpi.check()
        // The whole run, in one go.
        let whole = try train(4, "whole", steps: 120, ["--loss-log", directory.appending("whole.log")])
        #expect(whole.status == 0, "\(whole)")
        let arguments = arguments(
            4, "store", steps: 120,
            ["--loss-log", directory.appending("store.log"), "--stop-on-term", "60", "--every", "1000"])
        let quoted = arguments.map { "'\($0)'" }.joined(separator: " ")
        let ended = try runProcess(
            "/bin/bash",
            [
                "-c",
                """
                export OMPI_MCA_btl_vader_single_copy_mechanism=none
                cd '\(directory.path)'
                \(quoted) > out &
                mpirun=$!
                for i in $(seq 2400); do grep -q "^step 10 " out && break; sleep 0.05; done
                kill -TERM "$(pgrep -P $mpirun ReferenceTraine | sed -n 3p)"
                wait $mpirun; echo "status $?" >> out
                cat out
                """,
            ])
        let lines = ended.output.split(separator: "\n").map(String.init)
        #expect(lines.last == "status 0", "\(ended)")
        let stops = lines.filter { $0.hasPrefix("stopped by SIGTERM at step ") }
        #expect(stops.count == 4 && Set(stops).count == 1, "\(ended)")
        let report = TrainerReport(lines)
        let step = try #require(report.committed.first, "\(ended)")
        #expect(report.committed.count == 1 && step > 10 && step < 120)
        let rest = try train(
            4, "store", steps: 120, ["--loss-log", directory.appending("store.log")])
        #expect(rest.status == 0, "\(rest)")
        #expect(self.report(rest).resumed?.step == step)
        #expect(try losses("store") == losses("whole"))
    }
}

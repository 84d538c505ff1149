import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// The trainer as several processes of Open MPI.
@Suite("Parallel trainers", .timeLimit(.minutes(20)))
struct ParallelTests {
    private let trainer: ParallelTrainer

    init() throws { trainer = try ParallelTrainer() }

    @Test(
        "Four processes, one killed in the middle of a save, go on as three, two or one: as if begun there",
        .enabled(if: Requirement.mpi.isTested, "\(Requirement.mpi.reason)"))
    func elastic() throws {
        try Requirement.mpi.check()
        let first = try trainer.train(4, "store", steps: 4)
        #expect(first.status == 0 && trainer.report(first).committed == [4], "\(first)")
        let saved = try #require(trainer.report(first).saved[4])
        // What the kill is compared with has never seen it.
        try trainer.copy("store", to: "begun")
        let killed = try trainer.train(4, "store", ["--kill-during-save", "8", "--kill-rank", "2"])
        #expect(killed.status != 0)
        #expect(trainer.report(killed).resumed?.state == saved, "\(killed)")
        #expect(trainer.report(killed).committed.isEmpty, "\(killed)")
        for processes in 1...3 {
            for source in ["store", "begun"] {
                let twin = "\(source)-\(processes)"
                try trainer.copy(source, to: twin)
                let run = try trainer.train(
                    processes, twin, ["--loss-log", trainer.log(twin)])
                #expect(run.status == 0, "\(run)")
                let resumed = try #require(trainer.report(run).resumed, "\(run)")
                #expect(resumed.step == 4 && resumed.state == saved, "\(run)")
                #expect(trainer.report(run).committed == [8, 12])
            }
            #expect(try trainer.losses("store-\(processes)").count == 8)
            #expect(try trainer.losses("store-\(processes)") == trainer.losses("begun-\(processes)"))
        }
        // Without Open MPI, a process restores what the others had.
        let alone = try trainer.program.run(
            [
                "--store", trainer.directory.appending("begun-2"), "--model", "tiny", "--steps",
                "14", "--every", "14", "--batch", "12", "--arena", "1",
            ], in: trainer.directory)
        #expect(alone.status == 0, "\(alone.output)")
        #expect(alone.output.contains("resumed from step 12"), "\(alone.output)")
    }

    @Test(
        "SIGTERM to one of four processes: all save after the same step and end, and lose no step",
        .enabled(if: Requirement.mpi.isTested, "\(Requirement.mpi.reason)"),
        arguments: [1, 2])
    func oneIsToldToEnd(tensorParallel: Int) throws {
        try Requirement.mpi.check()
        // The whole run, in one go.
        let division = ["--tensor-parallel", "\(tensorParallel)"]
        let whole = try trainer.train(
            4, "whole", steps: 120, ["--loss-log", trainer.log("whole")] + division)
        #expect(whole.status == 0, "\(whole)")
        let arguments = trainer.arguments(
            4, "store", steps: 120,
            ["--loss-log", trainer.log("store"), "--stop-on-term", "60", "--every", "1000"]
                + division)
        let quoted = arguments.map { "'\($0)'" }.joined(separator: " ")
        let ended = try runProcess(
            "/bin/bash",
            [
                "-c",
                """
                export OMPI_MCA_btl_vader_single_copy_mechanism=none
                cd '\(trainer.directory.path)'
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
        let rest = try trainer.train(
            4, "store", steps: 120, ["--loss-log", trainer.log("store")] + division)
        #expect(rest.status == 0, "\(rest)")
        #expect(trainer.report(rest).resumed?.step == step)
        #expect(try trainer.losses("store") == trainer.losses("whole"))
    }
}

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

    private func train(
        _ processes: Int, _ store: String, steps: Int = 12, _ more: [String] = []
    ) throws -> ProcessOutcome {
        let arguments = [
            "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "\(processes)", trainer.path,
            "--mpi", "--store", directory.appending(store), "--model", "tiny", "--steps",
            "\(steps)",
            "--every", "4", "--batch", "4", "--fingerprints", "--arena", "1",
        ]
        // Open MPI's own words about killed processes do not matter.
        return try runProcess(
            "/usr/bin/env", arguments + more,
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
        "Four processes, one killed in the middle of a save, go on as two: like two that began there",
        .enabled(if: Requirement.mpi.isTested, "\(Requirement.mpi.reason)"))
    func elastic() throws {
        try Requirement.mpi.check()
        let first = try train(4, "store", steps: 4)
        #expect(first.status == 0 && report(first).committed == [4], "\(first)")
        let saved = try #require(report(first).saved[4])
        let killed = try train(4, "store", ["--kill-during-save", "8", "--kill-rank", "2"])
        #expect(killed.status != 0)
        #expect(report(killed).resumed?.state == saved, "\(killed)")
        #expect(report(killed).committed.isEmpty, "\(killed)")
        for twin in ["first", "second"] {
            try copy("store", to: twin)
            let run = try train(2, twin, ["--loss-log", directory.appending("\(twin).log")])
            #expect(run.status == 0, "\(run)")
            let resumed = try #require(report(run).resumed, "\(run)")
            #expect(resumed.step == 4 && resumed.state == saved)
            #expect(report(run).committed == [8, 12])
        }
        #expect(try losses("first").count == 8)
        #expect(try losses("first") == losses("second"))
        // Alone, a process restores what the others had.
        let alone = try trainer.run(
            [
                "--store", directory.appending("first"), "--model", "tiny", "--steps", "14",
                "--every", "14", "--batch", "4", "--arena", "1",
            ], in: directory)
        #expect(alone.status == 0, "\(alone.output)")
        #expect(alone.output.contains("resumed from step 12"), "\(alone.output)")
    }
}

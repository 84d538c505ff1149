import CheckpointTestSupport
import Foundation
import Testing

/// The trainer as processes of Open MPI that divide the layers of the model, and the batch.
@Suite("Tensor-parallel trainers", .timeLimit(.minutes(20)))
struct TensorParallelTests {
    /// Numbers of replicas of the model, and of processes that have parts of each.
    private struct Division {
        let data: Int
        let tensor: Int

        var name: String { "\(data)x\(tensor)" }
    }

    private let trainer: ParallelTrainer

    init() throws { trainer = try ParallelTrainer() }

    /// Goes on with a store up to step 12, and logs the losses.
    private func train(_ division: Division, _ store: String) throws -> ProcessOutcome {
        try trainer.train(
            division.data * division.tensor, store,
            ["--tensor-parallel", "\(division.tensor)", "--loss-log", trainer.log(store)])
    }

    /// The same in a process without Open MPI.
    private func trainAlone(_ store: String, steps: Int = 12) throws -> TrainerReport {
        let run = try trainer.program.run(
            [
                "--store", trainer.directory.appending(store), "--model", "tiny", "--steps",
                "\(steps)", "--every", "4", "--batch", "12", "--fingerprints", "--arena", "1",
                "--loss-log", trainer.log(store),
            ], in: trainer.directory)
        #expect(run.status == 0, "\(run.output)")
        return TrainerReport(run.lines)
    }

    /// The losses of a store's run, as numbers.
    private func lossValues(_ store: String) throws -> [Float] {
        try trainer.losses(store).map { line in
            let bits = try #require(line.split(separator: " ").last)
            return Float(bitPattern: try #require(UInt32(bits, radix: 16)))
        }
    }

    @Test(
        "Two replicas of two processes, one killed in the middle of a save, go on in any division",
        .enabled(if: Requirement.mpi.isTested, "\(Requirement.mpi.reason)"))
    func elastic() throws {
        try Requirement.mpi.check()
        let parallel = ["--tensor-parallel", "2"]
        let first = try trainer.train(4, "store", steps: 4, parallel)
        #expect(first.status == 0 && trainer.report(first).committed == [4], "\(first)")
        let saved = try #require(trainer.report(first).saved[4])
        // What the kill is compared with has never seen it.
        try trainer.copy("store", to: "begun")
        let killed = try trainer.train(
            4, "store", parallel + ["--kill-during-save", "8", "--kill-rank", "1"])
        #expect(killed.status != 0)
        #expect(trainer.report(killed).resumed?.state == saved, "\(killed)")
        #expect(trainer.report(killed).committed.isEmpty, "\(killed)")
        for (data, tensor) in [(1, 2), (2, 1), (2, 2)] {
            let division = Division(data: data, tensor: tensor)
            for source in ["store", "begun"] {
                let twin = "\(source)-\(division.name)"
                try trainer.copy(source, to: twin)
                let run = try train(division, twin)
                #expect(run.status == 0, "\(run)")
                let report = trainer.report(run)
                #expect(report.resumed?.step == 4 && report.resumed?.state == saved, "\(run)")
                #expect(report.committed == [8, 12])
            }
            let losses = try trainer.losses("store-\(division.name)")
            #expect(losses.count == 8)
            #expect(try losses == trainer.losses("begun-\(division.name)"))
        }
        // Without Open MPI, a process restores what the others had.
        for source in ["store", "begun"] {
            try trainer.copy(source, to: source + "-alone")
            let report = try trainAlone(source + "-alone")
            #expect(report.resumed?.step == 4 && report.resumed?.state == saved)
            #expect(report.committed == [8, 12])
        }
        #expect(try trainer.losses("store-alone") == trainer.losses("begun-alone"))
        // It drops the same values as one replica of several processes.
        for (one, other) in zip(try lossValues("begun-alone"), try lossValues("begun-1x2")) {
            #expect(abs(one - other) < 1e-3 * one)
        }
    }

    @Test(
        "Processes that divide the layers begin as one does, and continue what one has saved",
        .enabled(if: Requirement.mpi.isTested, "\(Requirement.mpi.reason)"))
    func equalsOneProcess() throws {
        try Requirement.mpi.check()
        let saved = try #require(try trainAlone("alone", steps: 4).saved[4])
        let run = try train(Division(data: 1, tensor: 2), "divided")
        #expect(run.status == 0, "\(run)")
        let (alone, divided) = (try lossValues("alone"), try lossValues("divided"))
        #expect(alone.count == 4 && divided.count == 12)
        for (one, other) in zip(alone, divided) { #expect(abs(one - other) < 1e-3 * one) }
        let resumed = try train(Division(data: 2, tensor: 2), "alone")
        #expect(trainer.report(resumed).resumed?.state == saved, "\(resumed)")
        #expect(trainer.report(resumed).committed == [8, 12], "\(resumed)")
    }

    @Test("A number that cannot divide the model or the processes is refused by name")
    func refused() throws {
        func run(_ arguments: [String]) throws -> Program.Outcome {
            try trainer.program.run(
                ["--store", trainer.directory.appending("none"), "--model", "tiny"] + arguments,
                in: trainer.directory)
        }
        let alone = try run(["--tensor-parallel", "2"])
        #expect(alone.status != 0)
        #expect(alone.output.contains("works only with --mpi"), "\(alone.output)")
        let heads = try run(["--mpi", "--tensor-parallel", "3"])
        #expect(heads.status != 0)
        #expect(heads.output.contains("must divide the 2 heads"), "\(heads.output)")
    }

    @Test(
        "A number that does not divide the processes is refused",
        .enabled(if: Requirement.mpi.isTested, "\(Requirement.mpi.reason)"))
    func refusedProcesses() throws {
        try Requirement.mpi.check()
        let run = try trainer.train(3, "none", ["--tensor-parallel", "2"])
        #expect(run.status != 0)
        #expect(run.errors.contains("must divide the 3 processes"), "\(run)")
    }
}

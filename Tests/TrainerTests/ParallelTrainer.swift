import CheckpointTestSupport
import Foundation

/// The trainer as several processes of Open MPI, with stores in a directory of its own.
struct ParallelTrainer {
    let directory: TemporaryDirectory
    let program: Program

    init() throws {
        directory = try TemporaryDirectory()
        program = try Program("ReferenceTrainer")
    }

    func arguments(_ processes: Int, _ store: String, steps: Int, _ more: [String]) -> [String] {
        [
            "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "\(processes)", program.path,
            "--mpi", "--store", directory.appending(store), "--model", "tiny", "--steps",
            "\(steps)",
            "--every", "4", "--batch", "12", "--fingerprints", "--arena", "1",
        ] + more
    }

    func train(
        _ processes: Int, _ store: String, steps: Int = 12, _ more: [String] = []
    ) throws -> ProcessOutcome {
        // Open MPI's own words about killed processes do not matter.
        return try runProcess(
            "/usr/bin/env", arguments(processes, store, steps: steps, more),
            environment: ["OMPI_MCA_btl_vader_single_copy_mechanism": "none"])
    }

    /// Where the log of losses of a store's run is expected.
    func log(_ store: String) -> String { directory.appending("\(store).log") }

    /// The loss of each step, as its bits.
    func losses(_ store: String) throws -> [String] {
        try String(contentsOfFile: log(store), encoding: .utf8)
            .split(separator: "\n").map(String.init)
    }

    func copy(_ store: String, to other: String) throws {
        try FileManager.default.copyItem(
            atPath: directory.appending(store), toPath: directory.appending(other))
    }

    func report(_ outcome: ProcessOutcome) -> TrainerReport {
        TrainerReport(outcome.output.split(separator: "\n").map(String.init))
    }
}

internal import ArgumentParser
internal import CheckpointObjects
internal import Checkpointing
internal import Foundation
internal import Logging
internal import ReferenceModel

/// The `reference-trainer` command: trains a byte-level GPT, checkpoints it, and resumes from the
/// store's newest checkpoint.
@main
struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ReferenceTrainer",
        abstract:
            "Trains a small GPT with asynchronous checkpoints; resumes from the newest one.",
        discussion: "Example: ReferenceTrainer --store /tmp/run --steps 200 --every 20")

    @Option(help: "Directory of the checkpoint store; created if missing.")
    var store: String

    @Option(
        help: "Mirror: a directory or s3://BUCKET/PREFIX, to resume from if the store is lost.")
    var mirror: String?

    @Option(help: "Text to train on.")
    var data = "/usr/share/common-licenses/GPL-3"

    @Option(help: "Model: tiny, small or medium.")
    var model = "small"

    @Option(help: "Number of updates of the run, across restarts.")
    var steps = 200

    @Option(help: "Saves every N updates.")
    var every = 20

    @Option(help: "Sequences per batch.")
    var batch = 8

    @Option(help: "Seed of weights, dropout and data order.")
    var seed: UInt64 = 1

    @Option(help: "Compression: auto, none, fast, balanced, max, lz4, zstd or zstd:LEVEL.")
    var compression = "auto"

    @Option(help: "Number of threads for matrix products.")
    var threads = 1

    @Option(help: "Precision: f32, or bf16 (weights rounded from float32 masters).")
    var precision = "f32"

    @Option(help: "Size of the staging arena, in MiB.")
    var arena = 64

    @Option(help: "Name of the run (default: reference- and the model).")
    var runName: String?

    @Option(
        help:
            "Checkpoint to resume from (default: the run's newest): a step, a tag, an id, ..."
    )
    var resumeFrom: String?

    @Option(help: "Keeps the newest N checkpoints of the run.")
    var keepLast: Int?

    @Option(help: "Appends a line 'STEP LOSS-BITS' per update to this file.")
    var lossLog: String?

    @Option(help: "Writes a trace of all threads to this file, for Perfetto or chrome://tracing.")
    var trace: String?

    @Flag(help: "Prints a fingerprint of weights and moments at every save.")
    var fingerprints = false

    @Option(help: "Sends SIGKILL to this process when the save of this step is half written.")
    var killDuringSave: Int?

    @Flag(
        help: "Trains as one of the processes that mpirun started: data parallel, with ZeRO-1.")
    var mpi = false

    @Option(
        help: """
            With --mpi, divides attention heads and MLPs among N processes; must divide the number \
            of processes and of heads.
            """)
    var tensorParallel = 1

    @Option(help: "With --mpi, only the process of this rank obeys --kill-during-save.")
    var killRank = 0

    @Option(help: "On SIGTERM, finishes the saves in flight for at most this many seconds.")
    var publishOnTerm: Int?

    @Option(
        help: "On SIGTERM to any process, all save after the same step, and end within this time, in seconds.")
    var stopOnTerm: Int?

    @Option(help: "Writes at most this many bytes per second.")
    var bytesPerSecond: Int?

    @Option(help: "After the last save: close, exit (without closing) or sleep.")
    var afterLastSave = "close"

    func validate() throws {
        guard Compression(compression) != nil else {
            throw ValidationError(
                "--compression \(compression) is unknown; use auto, none, fast, balanced, max, "
                    + "lz4, zstd or zstd:LEVEL")
        }
        guard configuration != nil else {
            throw ValidationError("--model \(model) is unknown; use tiny, small or medium")
        }
        guard ["f32", "bf16"].contains(precision) else {
            throw ValidationError("--precision \(precision) is unknown; use f32 or bf16")
        }
        if let resumeFrom, CheckpointReference(resumeFrom) == nil {
            throw ValidationError(
                "--resume-from \(resumeFrom) is not a step, a tag, an id or RUN:latest")
        }
        if let mirror, StoreMirror.Place(mirror) == nil {
            throw ValidationError("--mirror \(mirror) is not a directory or s3://BUCKET/PREFIX")
        }
        guard publishOnTerm ?? 1 > 0, stopOnTerm ?? 1 > 0,
            publishOnTerm == nil || stopOnTerm == nil
        else {
            throw ValidationError(
                "--publish-on-term and --stop-on-term must be at least 1, and are alternatives")
        }
        guard tensorParallel > 0, mpi || tensorParallel == 1 else {
            throw ValidationError(
                "--tensor-parallel must be at least 1, and works only with --mpi")
        }
        // The MLP is four times as wide as the model, whose width is a multiple of the heads.
        if let configuration, !configuration.heads.isMultiple(of: tensorParallel) {
            throw ValidationError(
                "--tensor-parallel must divide the \(configuration.heads) heads of the model "
                    + "(got \(tensorParallel))")
        }
        guard keepLast ?? 1 > 0 else { throw ValidationError("--keep-last must be at least 1") }
        guard steps > 0, every > 0, batch > 0, threads > 0, arena >= 0 else {
            throw ValidationError(
                "--steps, --every, --batch and --threads must be at least 1, "
                    + "and --arena at least 0")
        }
    }

    private var configuration: ModelConfiguration? {
        switch model {
        case "tiny": .tiny
        case "small": .small
        case "medium": .medium
        default: nil
        }
    }

    func run() throws {
        setThreads(threads)
        guard let configuration else { return }
        let text = try Array(Data(contentsOf: URL(fileURLWithPath: data)))
        guard text.count > configuration.context else {
            throw ValidationError(
                "\(data) is too short: \(text.count) bytes, "
                    + "and training needs more than \(configuration.context)")
        }
        let processes = mpi ? try MPI() : nil
        if let processes { try check(processes, configuration) }
        let mesh = try processes.flatMap {
            $0.worldSize > 1 ? try ProcessMesh($0, tensorCount: tensorParallel) : nil
        }
        let training = TrainingRun(
            configuration: configuration, text: text, batch: batch, steps: steps, seed: seed,
            isMixed: precision == "bf16", processes: mesh, stopsOnTerm: stopOnTerm != nil)
        let store = try CheckpointStore.open(
            store, for: .writing, ranks: processes.map { RankGroup(MPIGroup(mpi: $0)) },
            mirror: mirror.flatMap { StoreMirror.Place($0) }.map { BackgroundMirror($0) },
            onWarning: { say("warning: \($0)") })
        let checkpointer = try Checkpointer(
            store: store, state: try training.state(), options: options(processes))
        if let resumed = try resume(checkpointer) {
            try training.adoptRestored()
            say(
                "resumed from step \(resumed.step), checkpoint \(resumed.id)\(try fingerprint(training))"
                    + (resumed.mirror.map { ", from the mirror \($0)" } ?? "")
            )
        }
        // One process logs for all: they compute the same.
        let lossLog = processes?.rank ?? 0 == 0 ? try lossLog.map { try LossLog(path: $0) } : nil
        try train(training, checkpointer, lossLog)
        let end = training.step < steps ? "stopped by SIGTERM" : "finished"
        say("\(end) at step \(training.step), state \(try training.digest())")
        switch afterLastSave {
        case "exit": Foundation.exit(0)
        case "sleep": while true { sleep(60) }
        default: break
        }
        defer { sayHowLongSavesHeldTheTrainer(checkpointer.stall) }
        try checkpointer.close()
        processes?.stop()
    }

    private func check(_ processes: MPI, _ configuration: ModelConfiguration) throws {
        guard processes.worldSize.isMultiple(of: tensorParallel) else {
            throw ValidationError(
                "--tensor-parallel must divide the \(processes.worldSize) processes "
                    + "(got \(tensorParallel))")
        }
        let replicas = processes.worldSize / tensorParallel
        guard batch.isMultiple(of: replicas) else {
            throw ValidationError(
                tensorParallel == 1
                    ? "--batch must be a multiple of the \(replicas) processes"
                    : "--batch must be a multiple of the \(replicas) replicas of the model")
        }
        guard precision == "f32" || processes.worldSize == 1 else {
            throw ValidationError("--precision bf16 works only with one process")
        }
        // Each process owns a row of every parameter: of the positions, and of its part of others.
        let most = min(configuration.context, configuration.width / tensorParallel) * tensorParallel
        guard processes.worldSize <= most else {
            throw ValidationError(
                "this model can be trained by at most \(most) processes "
                    + "(got \(processes.worldSize))")
        }
    }

    private func resume(_ checkpointer: Checkpointer) throws -> RestoreReport? {
        guard let reference = resumeFrom.flatMap({ CheckpointReference($0) }) else {
            return try checkpointer.resume()
        }
        return try checkpointer.resume(from: .reference(reference))
    }

    private func train(
        _ training: TrainingRun, _ checkpointer: Checkpointer, _ log: LossLog?
    ) throws {
        var held = Duration.zero
        var isLast = false
        while training.step < steps, !isLast {
            let outcome = try training.advance(checkpointer)
            let (step, loss) = (training.step, outcome.loss)
            isLast = outcome.isLast
            try log?.append(step: step, loss: loss)
            if step % 10 == 0 || step == 1 {
                say("step \(step) loss \(String(format: "%.4f", loss))")
            }
            if step % every == 0 || step == steps || isLast {
                say("saving step \(step)\(try fingerprint(training))")
                let (before, stall) = (held, checkpointer.stall)
                held = stall.submit + stall.fence + stall.backpressure
                try checkpointer.save(
                    step: step,
                    metrics: ["loss": Double(loss), "stall_s": (held - before) / .seconds(1)])
            }
        }
    }

    private func fingerprint(_ training: TrainingRun) throws -> String {
        fingerprints ? ", state \(try training.digest())" : ""
    }

    private func options(_ processes: MPI?) -> CheckpointerOptions {
        var options = CheckpointerOptions()
        options.run = runName ?? "reference-\(model)"
        options.keepLast = keepLast
        options.compression = Compression(compression) ?? .auto
        options.arenaBytes = arena << 20
        options.tracePath = trace
        options.bytesPerSecond = bytesPerSecond
        if let publishOnTerm {
            options.onTermination = .publishNewest(within: .seconds(publishOnTerm))
        }
        if let stopOnTerm {
            options.onTermination = .stopTraining(within: .seconds(stopOnTerm))
        }
        // The trainer itself prints commits.
        options.logger.logLevel = .warning
        let isVictim = processes == nil || processes?.rank == killRank
        options.onEvent = { [killDuringSave] event in
            report(event, killDuringSave: isVictim ? killDuringSave : nil)
        }
        return options
    }
}

/// Prints the outcome of saves on standard output, and kills the process in the middle of one save
/// if `killDuringSave` asks for it.
private func report(_ event: CheckpointEvent, killDuringSave: Int?) {
    switch event {
    case .committed(let report):
        say(
            "committed step \(report.step): \(report.logicalBytes) bytes, ratio \(String(format: "%.2f", report.ratio)), "
                + "committed after \(milliseconds(report.timeToCommitted)) ms in the background")
    case .failed(let step, let error): say("save of step \(step) failed: \(error)")
    case .progress(let step, let written, let total)
    where step == killDuringSave && written * 2 >= total:
        say("killing this process in the middle of the save of step \(step)")
        kill(getpid(), SIGKILL)
    default: break
    }
}

private func sayHowLongSavesHeldTheTrainer(_ stall: StallReport) {
    let total = stall.submit + stall.fence + stall.backpressure
    say(
        "saves blocked training for \(milliseconds(total)) ms in total "
            + "(submit \(milliseconds(stall.submit)), fences \(milliseconds(stall.fence)), "
            + "disk \(milliseconds(stall.backpressure)))")
}

private func milliseconds(_ duration: Duration) -> String {
    String(format: "%.1f", duration / .milliseconds(1))
}

/// Prints a line with one write, so that lines of several threads do not mix, and a line printed
/// before the process is killed is not lost.
private func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

/// Log of losses as their bits, to compare runs exactly.
private struct LossLog {
    private let handle: FileHandle

    init(path: String) throws {
        let exists = FileManager.default.fileExists(atPath: path)
        guard exists || FileManager.default.createFile(atPath: path, contents: nil),
            let handle = FileHandle(forWritingAtPath: path)
        else { throw ValidationError("cannot write \(path)") }
        try handle.seekToEnd()
        self.handle = handle
    }

    func append(step: Int, loss: Float) throws {
        try handle.write(contentsOf: Data("\(step) \(String(loss.bitPattern, radix: 16))\n".utf8))
    }
}

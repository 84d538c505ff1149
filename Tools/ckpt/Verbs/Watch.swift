internal import CheckpointMaintenance
import ArgumentParser
import Checkpointing
import Foundation

struct Watch: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Shows the saves of a running trainer as they happen.",
        usage: "ckpt watch STORE [options]",
        discussion: """
            Example: ckpt watch runs/first

            On a terminal the last line shows bytes written, speed, time left, and how long saves have blocked training. In a pipe each \
            event is a line; with --json it is an object. Once a second, shows which ranks of a save are durable, have begun, have not \
            begun, or have failed. Ends with Control-C, after --timeout, or immediately with --once. Does not slow the trainer down.
            """)

    @OptionGroup var common: CommonArguments

    @Flag(help: "Prints the current state and exits.")
    var once = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Exits after this many seconds.", valueName: "seconds"))
    var timeout: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Exits when this step, or a later one, is committed.", valueName: "step"),
        transform: WholeNumber.from(0))
    var until: Int?

    func validate() throws {
        if let timeout, !(timeout >= 0 && timeout < 1e9) {
            throw ValidationError("--timeout must be at least 0 and less than 1e9 seconds.")
        }
    }

    /// Number of looks at the store for one at the files of each rank: ten are a second.
    private static let looksPerRanks = 10

    func execute() throws -> ExitCode {
        let store = try common.open()
        let first = try store.look()
        var tracker = WatchTracker(first)
        show(first)
        try Output.flush()
        let end = timeout.map { ContinuousClock.now + .seconds($0) }
        var (sample, looks) = (first, 0)
        while true {
            let events = tracker.observe(sample)
            for event in events { try show(event, in: store) }
            try Output.flush()
            if once || isReached(events, first) || end.map({ ContinuousClock.now >= $0 }) ?? false { break }
            usleep(100_000)
            looks += 1
            sample = try store.look(ranksAsIn: looks % Self.looksPerRanks == 0 ? nil : sample)
        }
        ProgressLine.clear()
        return .fine
    }

    /// Of the existing checkpoints, those of the run that is being written count, or else of the newest run.
    private func isReached(_ events: [WatchEvent], _ first: WatchSample) -> Bool {
        let run = first.status?.run ?? first.names.last?.run
        if let until, first.names.contains(where: { $0.run == run && $0.step >= until }) { return true }
        return events.contains { event in
            if case .committed(let name, _) = event, let until { name.step >= until } else { false }
        }
    }

    private func show(_ first: WatchSample) {
        let newest = first.names.last
        if common.json {
            Output.json(
                .object([
                    .init("event", .string("watching")), .init("checkpoints", .count(first.names.count)),
                    .init("newest_step", newest.map { .count($0.step) } ?? .null),
                ]))
        } else {
            let last = newest.map { ", the newest at step \($0.step)" } ?? ""
            Output.line("watching \(common.store): \(Output.count(first.names.count, "checkpoint"))\(last)")
        }
    }

    /// Adds the duration, size and stall of the save to a commit; the writer publishes them shortly
    /// after it.
    private func completed(_ event: WatchEvent, in store: CheckpointStore) throws -> WatchEvent {
        guard case .committed(let name, nil) = event else { return event }
        for _ in 0..<3 {
            let status = try store.look(ranksAsIn: WatchSample(status: nil, names: [])).status
            guard status?.run == name.run else { break }
            if let took = WatchTracker.took(name, status) { return .committed(name, took) }
            usleep(50_000)
        }
        return event
    }

    private func show(_ event: WatchEvent, in store: CheckpointStore) throws {
        let event = try completed(event, in: store)
        if case .restarted(let name) = event {
            guard let restart = store.restart(of: name) else { return }
            if common.json { return Output.json(restart.json(name)) }
            return try announce(restart.text)
        }
        if common.json { return Output.json(event.json) }
        if case .progress = event, ProgressLine.isShown { return ProgressLine.tell(event.text) }
        try announce(event.text)
    }

    /// Prints a line immediately: the next event may be progress, which overwrites the line below.
    private func announce(_ text: String) throws {
        ProgressLine.clear()
        Output.line(text)
        try Output.flush()
    }
}

extension RestartLabel {
    fileprivate var text: String {
        let begins = number == 0 ? "run \(runName) began" : "run \(runName): restart \(number)"
        return begins + (parentStep.map { ", resumed from step \($0)" } ?? "")
    }

    fileprivate func json(_ name: ManifestName) -> JSONValue {
        .object([
            .init("event", .string("restarted")), .init("run", .hex(name.run)),
            .init("run_name", .string(runName)), .init("restart", .count(number)),
            .init("parent_step", parentStep.map { .count($0) } ?? .null),
        ])
    }
}

extension WatchEvent {
    fileprivate var text: String {
        switch self {
        case .writer(let process, let run): "process \(process) is writing (restart \(Output.short(run)))"
        case .writerGone(let process): "process \(process) has ended"
        case .started(let step): "step \(step): save started"
        case .progress(let progress): Self.text(progress)
        case .committed(let name, let took): "step \(name.step): committed" + (took.map(Self.text) ?? "")
        case .restarted(let name): "restart \(name.run)"
        case .removed(let name): "step \(name.step): deleted"
        case .failed(let step): "step \(step): save FAILED"
        case .mirrored(let step): "step \(step): mirrored"
        case .ranks(let ranks): Self.text(ranks)
        }
    }

    private static func text(_ save: RankedSave) -> String {
        let count = Output.count(save.worldSize, "rank")
        var parts = ["step \(save.step): \(save.durable.count) of \(count) durable"]
        for (ranks, state) in [
            (save.unfinished, "begun"), (save.absent, "not begun"), (save.failed, "FAILED"),
        ] where !ranks.isEmpty {
            parts.append("\(state): \(RankGroup.text(of: ranks))")
        }
        return parts.joined(separator: ", ")
    }

    private static func text(_ progress: Progress) -> String {
        let percent = Int(min(Double(progress.written) / Double(max(progress.total, 1)), 1) * 100)
        let remaining = progress.remaining ?? 0
        let rest = remaining < 1 ? "" : ", \(ProgressPace.time(remaining)) left"
        return "step \(progress.step): \(percent) % of \(Output.size(progress.total)), "
            + "\(speed(progress.speed))\(rest), training blocked \(time(progress.stall))"
    }

    private static func text(_ took: Took) -> String {
        let new = took.newBytes == took.bytes ? "" : " (\(Output.size(took.newBytes)) new)"
        return " in \(time(took.seconds)): \(Output.size(took.bytes))\(new), "
            + "\(speed(Double(took.bytes) / max(took.seconds, 1e-9))), "
            + "training blocked \(time(took.stall))"
    }

    /// A status file can hold any number.
    private static func speed(_ bytesPerSecond: Double) -> String {
        "\(Output.size(Int(min(max(bytesPerSecond, 0), 1e15))))/s"
    }

    private static func time(_ seconds: Double) -> String {
        seconds < 1 ? String(format: "%.1f ms", seconds * 1000) : String(format: "%.1f s", seconds)
    }

    fileprivate var json: JSONValue {
        func event(_ name: String, _ members: [JSONValue.Member]) -> JSONValue { .object([.init("event", .string(name))] + members) }
        switch self {
        case .writer(let process, let run): return event("writer", [.init("process", .count(process)), .init("run", .hex(run))])
        case .writerGone(let process): return event("writer_gone", [.init("process", .count(process))])
        case .started(let step): return event("started", [.init("step", .count(step))])
        case .failed(let step): return event("failed", [.init("step", .count(step))])
        case .restarted(let name): return event("restarted", [.init("run", .hex(name.run))])
        case .mirrored(let step): return event("mirrored", [.init("step", .count(step))])
        case .removed(let name): return event("removed", [.init("run", .hex(name.run)), .init("step", .count(name.step))])
        case .ranks(let save):
            return event(
                "ranks",
                [
                    .init("step", .count(save.step)), .init("world_size", .count(save.worldSize)),
                    .init("begun", .counts(save.unfinished)), .init("durable", .counts(save.durable)),
                    .init("absent", .counts(save.absent)), .init("failed", .counts(save.failed)),
                ])
        case .progress(let progress):
            return event(
                "progress",
                [
                    .init("step", .count(progress.step)), .init("written_bytes", .count(progress.written)),
                    .init("total_bytes", .count(progress.total)), .init("bytes_per_second", .metric(progress.speed)),
                    .init("remaining_s", progress.remaining.map { .metric($0) } ?? .null), .init("stall_s", .metric(progress.stall)),
                ])
        case .committed(let name, let took):
            return event(
                "committed",
                [
                    .init("run", .hex(name.run)), .init("step", .count(name.step)),
                    .init("seconds", took.map { .metric($0.seconds) } ?? .null), .init("stall_s", took.map { .metric($0.stall) } ?? .null),
                    .init("bytes", took.map { .count($0.bytes) } ?? .null), .init("new_bytes", took.map { .count($0.newBytes) } ?? .null),
                ])
        }
    }
}

internal import CheckpointInterchange
public import ArgumentParser
public import Checkpointing
import Foundation

struct Ls: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Lists the checkpoints of a store, newest first.",
        usage: "ckpt ls STORE [options]",
        discussion: """
            Example: ckpt ls runs/first --where 'step>1000 and loss<2.1' --sort loss --limit 10

            A condition compares step, created (2026-01-31T12:00), age (7d), run, id, parent, tag, size (1.5GB), stored, ratio, tensors, \
            objects, pinned (0 or 1) or a metric by its name, with < <= > >= = !=; combine with and, or, not and parentheses. * and ? \
            in a text match any characters. Reads the catalog only; ckpt verify finds damage.
            """)

    @OptionGroup var common: CommonArguments
    @OptionGroup var selection: Selection

    @Option(
        help: ArgumentHelp("Sorts by this key, smallest first; KEY:desc: largest first.", valueName: "key"),
        completion: .list([
            "step", "created", "age", "run", "id", "parent", "tag", "size", "stored", "ratio", "tensors", "objects", "pinned",
        ]))
    var sort: CheckpointOrder?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Lists at most N checkpoints.", valueName: "n"),
        transform: WholeNumber.from(1))
    var limit: Int?

    func execute() throws -> ExitCode {
        let store = try common.open()
        let (checkpoints, damaged) = try find(in: store)
        if common.json { printJSON(store, checkpoints, damaged) } else { printTable(checkpoints, damaged) }
        return damaged.isEmpty ? .fine : .difference
    }

    private func find(in store: CheckpointStore) throws -> (checkpoints: [CheckpointSummary], damaged: [CheckpointError]) {
        let isEvery = selection.isEmpty && sort == nil
        let found = try isEvery ? limit.map { try store.newest($0) } ?? store.checkpoints() : store.checkpoints()
        var (checkpoints, damaged) = found.separated
        warnOfUnknownMetrics(checkpoints)
        checkpoints = selection.of(checkpoints)
        if let sort { checkpoints = sort.sorted(checkpoints, now: .now) }
        return (Array(checkpoints.prefix(limit ?? .max)), damaged)
    }

    /// A metric that no checkpoint has is most likely misspelt.
    private func warnOfUnknownMetrics(_ checkpoints: [CheckpointSummary]) {
        guard !checkpoints.isEmpty else { return }
        let asked = selection.metrics.union(sort?.metric.map { [$0] } ?? [])
        for name in asked.sorted() where !checkpoints.contains(where: { $0.metrics[name] != nil }) {
            Output.warn("no checkpoint has a metric \(name)")
        }
    }

    private func printTable(_ checkpoints: [CheckpointSummary], _ damaged: [CheckpointError]) {
        var table = Table([
            "STEP", .init("ID", rank: 1), .init("RUN", shortest: 8), .init("CREATED", rank: 3),
            .init("METRICS", shortest: 12, keepsWords: true),
            .init("TENSORS", rank: 7), "SIZE", .init("STORED", rank: 4), .init("RATIO", rank: 5),
            .init("PARENT", rank: 6),
            .init("TAGS", shortest: 6, keepsWords: true),
        ])
        for checkpoint in checkpoints { table.add(cells(checkpoint)) }
        for error in damaged { table.add(line: "\(error.code.rawValue): \(error)") }
        table.print()
        if checkpoints.isEmpty, damaged.isEmpty { Output.line("no checkpoints") }
    }

    private func cells(_ summary: CheckpointSummary) -> [String] {
        [
            String(summary.step), Output.short(summary.id), summary.runText, Output.time(summary.created), summary.metricsText,
            String(summary.tensorCount), Output.size(summary.logicalBytes), Output.size(summary.contentBytes),
            Output.ratio(summary.logicalBytes, summary.contentBytes), summary.parent.map { Output.short($0) } ?? "-", summary.marksText,
        ]
    }

    private func printJSON(_ store: CheckpointStore, _ checkpoints: [CheckpointSummary], _ damaged: [CheckpointError]) {
        Output.json(
            .object([
                .init("store", .hex(store.id)), .init("checkpoints", .array(checkpoints.map(\.json))),
                .init("damaged", .array(damaged.map { .error($0) })),
            ]))
    }
}

/// The selection of checkpoints for a verb.
struct Selection: ParsableArguments {
    @Option(name: .customLong("where"), help: ArgumentHelp("Lists only checkpoints that match this condition.", valueName: "condition"))
    var condition: String?

    @Option(help: ArgumentHelp(
            "Lists only this run: its name (* and ?), or at least 4 digits of its id.",
            valueName: "run"))
    var run: String?

    var isEmpty: Bool { condition == nil && run == nil }

    func validate() throws {
        do { _ = try query } catch { throw ValidationError("--where, \(error)") }
    }

    private var query: CheckpointQuery? {
        get throws(CheckpointQuery.Mistake) {
            guard let condition else { return nil }
            return try CheckpointQuery(condition)
        }
    }

    var metrics: Set<String> { (try? query)?.metrics ?? [] }  // validated above

    func of(_ checkpoints: [CheckpointSummary]) -> [CheckpointSummary] {
        let (query, now) = (try? query, Date.now)  // validated above
        return checkpoints.filter { checkpoint in isOfRun(checkpoint) && query?.matches(checkpoint, now: now) ?? true }
    }

    func isOfRun(_ checkpoint: CheckpointSummary) -> Bool { run.map { checkpoint.isOf(run: $0) } ?? true }
}

extension CheckpointOrder: ExpressibleByArgument {
    /// The argument of `--sort`.
    public init?(argument: String) { self.init(argument) }
}

extension [Result<CheckpointSummary, CheckpointError>] {
    var separated: (checkpoints: [CheckpointSummary], damaged: [CheckpointError]) {
        reduce(into: ([], [])) { parts, result in
            switch result {
            case .success(let summary): parts.0.append(summary)
            case .failure(let error): parts.1.append(error)
            }
        }
    }
}

extension CheckpointSummary {
    /// True if its run is selected.
    func isOf(run text: String) -> Bool { RunSelector(text).matches(name: runName, restart: run, origin: origin) }

    /// Name of the run, with the number of the restart after the first, or with the cause of the
    /// checkpoint if no training loop saved it here.
    var runText: String {
        switch origin.kind {
        case .imported: "\(runName) (import)"
        case .salvaged: runName
        case .training where isCopy: "\(runName) (copy)"
        case .training: origin.restart == 0 ? runName : "\(runName) #\(origin.restart)"
        }
    }

    var metricsText: String {
        let metrics = metrics.sorted { $0.key < $1.key }.map { "\($0.key)=\(Output.figure($0.value))" }
        return metrics.isEmpty ? "-" : metrics.joined(separator: " ")
    }

    var marksText: String { (tags + (isPinned ? ["(pinned)"] : [])).joined(separator: " ") }

    var json: JSONValue {
        let milliseconds = (created.timeIntervalSince1970 * 1000).rounded()
        return .object([
            .init("id", .hex(id)), .init("run", .hex(run)), .init("run_name", .string(runName)),
            .init("origin", .string(isCopy ? "copy" : origin.kind.rawValue)), .init("run_id", .hex(origin.run)),
            .init("branch", .hex(origin.branch)), .init("restart", .count(origin.restart)),
            .init("step", .count(step)), .init("created_ms", .count(Int(exactly: milliseconds) ?? 0)),
            .init("parent", parent.map { .hex($0) } ?? .null),
            .init("metrics", .metrics(metrics.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })),
            .init("tensors", .count(tensorCount)), .init("objects", .count(objectCount)),
            .init("bytes", .count(logicalBytes)), .init("stored_bytes", .count(storedBytes)), .init("base_bytes", .count(baseBytes)),
            .init("tags", .strings(tags)), .init("pinned", .bool(isPinned)),
        ])
    }
}

import ArgumentParser
import CheckpointFormat
import Checkpointing
import Foundation

struct Ls: Verb {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Lists the checkpoints of a store, newest first.",
        discussion: """
            Example: ckpt ls runs/first --limit 10

            What the catalog knows is shown without opening the manifests; `ckpt verify` finds all damage.
            """)

    @OptionGroup var common: CommonArguments

    @Option(help: ArgumentHelp("Shows only the newest.", valueName: "n"))
    var limit: Int?

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit must be at least 1.") }
    }

    func execute() throws -> ExitCode {
        let store = try common.open()
        let checkpoints = try limit.map { try store.newest($0) } ?? store.checkpoints()
        if common.json { printJSON(store, checkpoints) } else { printTable(checkpoints) }
        let isWhole = checkpoints.allSatisfy { if case .success = $0 { true } else { false } }
        return isWhole ? .fine : .difference
    }

    private func printTable(_ checkpoints: [Result<CheckpointSummary, CheckpointError>]) {
        var table = Table([
            "STEP", "ID", "RUN", "CREATED", "METRICS", "TENSORS", "SIZE", "STORED", "RATIO", "PARENT", "TAGS",
        ])
        for checkpoint in checkpoints {
            switch checkpoint {
            case .success(let summary): table.add(cells(summary))
            case .failure(let error): table.add(line: "\(error.code.rawValue): \(error)")
            }
        }
        table.print()
        if checkpoints.isEmpty { Output.line("no checkpoints") }
    }

    private func cells(_ summary: CheckpointSummary) -> [String] {
        let metrics = summary.metrics.sorted { $0.key < $1.key }.map { "\($0.key)=\(Output.figure($0.value))" }
        return [
            String(summary.step), Output.short(summary.id),
            summary.runName.isEmpty ? Output.short(summary.run) : "\(Output.short(summary.run)) \(summary.runName)",
            Output.time(summary.created), metrics.isEmpty ? "-" : metrics.joined(separator: " "),
            String(summary.tensorCount), Output.size(summary.logicalBytes), Output.size(summary.storedBytes),
            Output.ratio(summary.logicalBytes, summary.storedBytes), summary.parent.map { Output.short($0) } ?? "-",
            (summary.tags + (summary.isPinned ? ["(pinned)"] : [])).joined(separator: " "),
        ]
    }

    private func printJSON(_ store: CheckpointStore, _ checkpoints: [Result<CheckpointSummary, CheckpointError>]) {
        var whole: [JSONValue] = []
        var damaged: [JSONValue] = []
        for checkpoint in checkpoints {
            switch checkpoint {
            case .success(let summary): whole.append(json(summary))
            case .failure(let error): damaged.append(.error(error))
            }
        }
        Output.json(
            .object([
                .init("store", .hex(store.id)), .init("checkpoints", .array(whole)), .init("damaged", .array(damaged)),
            ]))
    }

    private func json(_ summary: CheckpointSummary) -> JSONValue {
        let milliseconds = (summary.created.timeIntervalSince1970 * 1000).rounded()
        return .object([
            .init("id", .hex(summary.id)), .init("run", .hex(summary.run)), .init("run_name", .string(summary.runName)),
            .init("step", .count(summary.step)), .init("created_ms", .count(Int(exactly: milliseconds) ?? 0)),
            .init("parent", summary.parent.map { .hex($0) } ?? .null),
            .init("metrics", .metrics(summary.metrics.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })),
            .init("tensors", .count(summary.tensorCount)), .init("objects", .count(summary.objectCount)),
            .init("bytes", .count(summary.logicalBytes)), .init("stored_bytes", .count(summary.storedBytes)),
            .init("tags", .strings(summary.tags)), .init("pinned", .bool(summary.isPinned)),
        ])
    }
}

internal import CheckpointStorage
internal import CheckpointMaintenance
internal import CheckpointInterchange
import ArgumentParser
import Checkpointing
import SystemPackage

struct Report: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Writes an HTML report of the checkpoints and of how the model changed.",
        usage: "ckpt report STORE -o FILE [options]",
        discussion: """
            Example: ckpt report runs/first -o report.html --tensor '*.attention.*'

            The page is one file that needs no network, and contains its data as JSON (Formats/cli-json.md). Reads the \
            parameters of the newest checkpoint and of those that it descends from, at most --max-checkpoints of \
            them, evenly spaced. Memory use is independent of tensor size. Exit code 1 means that damaged checkpoints were \
            left out.
            """)

    @OptionGroup var common: CommonArguments

    @Option(name: [.short, .long], help: ArgumentHelp("HTML file to write; must not exist unless --force.", valueName: "file"))
    var output: String

    @Option(help: ArgumentHelp("Adds histograms of matching tensors (* and ?); repeatable.", valueName: "glob"))
    var tensor: [String] = []

    @Option(help: "Reads parameters of at most N checkpoints (at least 2).")
    var maxCheckpoints = 50

    @Flag(help: "Replaces FILE if it exists.")
    var force = false

    func validate() throws {
        try OutputName.checkIsHere(output)
        if maxCheckpoints < 2 { throw ValidationError("--max-checkpoints must be at least 2 (got \(maxCheckpoints))") }
    }

    func execute() throws -> ExitCode {
        let store = try common.open()
        try store.requireOutside(output)
        // Before the reading, which takes long: may the file be written? Until then, nothing is there
        // that an interruption would leave.
        let file = WholeFile(output, replacesExisting: force)
        try file.check()
        let data = try read(store)
        let text = Array(ReportPage(data: data).text.utf8)
        try Interruption.cancelling { _ in try file.write(text) }
        ProgressLine.clear()
        for error in data.damaged { Output.warn("left out a damaged checkpoint: \(error)") }
        if common.json { printJSON(data, text.count) } else { printText(data, text.count) }
        return data.damaged.isEmpty ? .fine : .difference
    }

    private func read(_ store: CheckpointStore) throws -> ReportData {
        var (whole, damaged): ([CheckpointSummary], [CheckpointError]) = ([], [])
        for checkpoint in try store.checkpoints().reversed() {
            switch checkpoint {
            case .success(let summary): whole.append(summary)
            case .failure(let error): damaged.append(error)
            }
        }
        let evolution = try store.evolution(
            of: whole, atMost: maxCheckpoints, histograms: tensor.map { NamePattern($0) }
        ) { done, total in
            ProgressLine.tell("reading checkpoint \(min(done + 1, total)) of \(total) ...")
        }
        let branch = whole.last?.origin.branch
        let ofBranch = whole.filter { $0.origin.branch == branch }.suffix(maxCheckpoints)
        let ranks = try store.rankMetrics(
            ReportData.stallMetric, of: ofBranch.reversed().map(\.name), partsMax: ReportData.partsMax,
            onFailure: { error in
                let known = damaged + evolution.damaged
                if !known.contains(where: { $0.message == error.message }) { damaged.append(error) }
            })
        return ReportData(
            store: store.id, path: common.store, checkpoints: whole, damaged: damaged + evolution.damaged, evolution: evolution,
            rankStalls: ranks.reversed())
    }

    private func printText(_ data: ReportData, _ bytes: Int) {
        let evolution = data.evolution
        Output.line(
            "wrote \(output) (\(Output.size(bytes))): \(Output.count(data.checkpoints.count, "checkpoint")); parameters of "
                + "\(evolution.checkpoints.count) of them, in \(Output.count(evolution.layers.count, "layer")); "
                + "\(Output.size(evolution.readBytes)) read")
    }

    private func printJSON(_ data: ReportData, _ bytes: Int) {
        Output.json(
            .object([
                .init("store", .hex(data.store)), .init("file", .string(output)), .init("bytes", .count(bytes)),
                .init("checkpoints", .count(data.checkpoints.count)), .init("followed", .count(data.evolution.checkpoints.count)),
                .init("layers", .count(data.evolution.layers.count)), .init("histograms", .count(data.evolution.histograms.count)),
                .init("read_bytes", .count(data.evolution.readBytes)), .init("damaged", .array(data.damaged.map { .error($0) })),
            ]))
    }
}

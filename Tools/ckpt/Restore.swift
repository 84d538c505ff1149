import ArgumentParser
import CheckpointFormat
import Checkpointing

struct Restore: Verb {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Writes the tensors of a checkpoint to plain files.",
        discussion: """
            Example: ckpt restore runs/first 1000 -o weights --tensor 'model.*'

            Each tensor becomes one raw little-endian, row-major file, 00000.bin and so on; index.json says which is \
            which, holds the objects, and is written last: a directory without it is not complete. With --format safetensors \
            the same tensors go to one file, or to a directory of shards. Every byte is checked on its way, and latest goes back \
            to the newest checkpoint that is whole.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint: latest, a step, a tag, best:METRIC, or the first digits of an id.", valueName: "ref"))
    var reference = CheckpointReference.latest

    @Option(
        name: [.short, .long], help: ArgumentHelp("A new or empty directory; for safetensors a new file or directory.", valueName: "out"))
    var output: String

    @Option(help: "raw or safetensors.")
    var format = Format.raw

    enum Format: String, ExpressibleByArgument, CaseIterable { case raw, safetensors }

    @Flag(help: "Raw files: equal tensors, as tied weights are, share one file.")
    var aliases = false

    @Option(help: ArgumentHelp("Restores only tensors of this name; * and ? are wild; may be repeated.", valueName: "glob"))
    var tensor: [String] = []

    func execute() throws -> ExitCode {
        let store = try common.open()
        try store.refuseOutput(output)
        switch format {
        case .raw: try restoreRaw(store)
        case .safetensors: try restoreSafetensors(store)
        }
        return .fine
    }

    private func restoreRaw(_ store: CheckpointStore) throws {
        let (files, _) = try store.withWhole(reference) { manifest in
            let tensors = try manifest.tensors(matching: tensor)
            var files = try RawFiles(of: manifest, in: store, to: output, sharesFiles: aliases)
            do { try files.write(tensors) } catch {
                files.undo()
                throw error
            }
            return files
        }
        ProgressLine.clear()
        if common.json { Output.json(files.index) } else { printText(files) }
    }

    private func restoreSafetensors(_ store: CheckpointStore) throws {
        let file = SafetensorsFile(
            path: output, shardBytesMax: 5_000_000_000, renaming: try Renaming(prefixes: [], file: nil), includesObjects: false,
            force: false)
        let (report, skipped) = try store.withWhole(reference) { manifest in
            try file.write(manifest, manifest.tensors(matching: tensor).map(\.record), from: store)
        }
        if common.json { Output.json(report.json(skipped)) } else { Output.line(report.text("restored", output)) }
    }

    private func printText(_ files: RawFiles) {
        let manifest = files.manifest
        Output.line(
            "restored \(Output.count(files.tensors.count, "tensor")) (\(Output.size(files.tensorBytes))) and "
                + "\(Output.count(manifest.objects.count, "object")) of step \(manifest.step) "
                + "(\(Output.short(manifest.id))) to \(output)")
    }
}

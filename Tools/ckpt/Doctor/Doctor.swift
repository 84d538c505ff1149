internal import CheckpointInterchange
import ArgumentParser
internal import CheckpointObjects
import Checkpointing
import SystemPackage

struct Doctor: Verb {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Diagnoses a file or directory and suggests what to do next.",
        usage: "ckpt doctor PATH [options]",
        discussion: """
            Example: ckpt doctor runs/first

            Recognizes ckpt stores, files that ckpt imports, and checkpoints of PyTorch (distributed), DeepSpeed, \
            Megatron, Hugging Face, Lightning and Orbax. Reads little data, even of large files, and writes nothing. \
            For s3://BUCKET/PREFIX, shows the settings in use and where each was found; with --try, creates and \
            removes a few small objects, to find out whether checkpoints can be saved there. \
            Exit code 1 means that a problem was found, 3 that PATH does not exist.
            """)

    @Argument(help: ArgumentHelp("Any file or directory.", valueName: "path"))
    var path: String

    @Flag(name: .customLong("try"), help: "Tests whether checkpoints can be saved in a bucket.")
    var tries = false

    @Flag(help: "Prints one JSON object (Formats/cli-json.md).")
    var json = false

    @OptionGroup var messages: MessageArguments

    func validate() throws { _ = try StoreAddress(path) }

    func execute() throws -> ExitCode {
        let diagnosis =
            switch try StoreAddress(path) {
            case .directory(let path): Examination().look(at: FilePath(path))
            case .bucket(let location): BucketDiagnosis(location, tries: tries).run()
            }
        if json { printJSON(diagnosis) } else { printText(diagnosis) }
        return diagnosis.kind == .missing ? .notFound : diagnosis.isFine ? .fine : .difference
    }

    private func printText(_ diagnosis: Diagnosis) {
        Output.line("\(path): \(diagnosis.what)")
        for fact in diagnosis.facts { Output.line("  \(fact)") }
        if !diagnosis.children.isEmpty {
            var table = Table([.init("NAME", shortest: 16), "KIND", .init("PROBLEM", shortest: 20)])
            for child in diagnosis.children {
                table.add([
                    child.name, child.diagnosis.kind.name, child.diagnosis.problems.first ?? "-",
                ])
            }
            Output.line()
            table.print()
        }
        list("Problems:", diagnosis.problems)
        list("What to do:", diagnosis.advice)
        guard diagnosis.isFine else { return }
        Output.line()
        Output.line("No problems found.")
    }

    private func list(_ title: String, _ lines: [String]) {
        guard !lines.isEmpty else { return }
        Output.line()
        Output.line(title)
        for line in lines { Output.line("  \(line)") }
    }

    private func printJSON(_ diagnosis: Diagnosis) {
        let children = diagnosis.children.map {
            JSONValue.object([.init("name", .string($0.name))] + $0.diagnosis.members)
        }
        Output.json(
            .object(
                [.init("path", .string(path)), .init("fine", .bool(diagnosis.isFine))]
                    + diagnosis.members + [
                        .init("children", .array(children))
                    ]))
    }
}

/// Examines a path, and the contents of a directory that is not itself a checkpoint or store.
struct Examination {
    /// Directories looked into, one level down.
    private static let childrenMax = 100
    /// Files that are examined as an import would; of more, only the beginning is read.
    private static let thoroughMax = 16
    func look(at path: FilePath) -> Diagnosis {
        do throws(CheckpointError) {
            switch try Surroundings.kind(of: path) {
            case nil:
                return Diagnosis(
                    .missing, "It does not exist.",
                    problems: ["No file or directory has this name."],
                    advice: ["Check the path. A trainer or ckpt import creates a store."])
            case .directory: return try directory(path)
            case .file: return try FileDiagnosis(path: path).run()
            case .other:
                return Diagnosis(
                    .unknownFile, "Neither a file nor a directory.",
                    problems: ["It is a device, a socket or a pipe, which cannot contain checkpoints."],
                    advice: ["Give the path of a store, a file of weights, or a directory of them."])
            }
        } catch {
            return Diagnosis(
                .unreadable, "It cannot be read.", problems: [error.message],
                advice: ["Check the permissions of \(path), and the disk."])
        }
    }

    private func directory(_ path: FilePath) throws(CheckpointError) -> Diagnosis {
        let place = try Surroundings(path)
        if place.names.isEmpty {
            return Diagnosis(
                .empty, "An empty directory.",
                advice: ["Save or import into it: a trainer and ckpt import create a store here."])
        }
        let store = StoreDiagnosis(place: place).run()
        var diagnosis = store ?? foreign(place) ?? collection(place)
        if store == nil { findLeftovers(of: place, &diagnosis) }
        if !place.isComplete {
            diagnosis.facts.append(
                "It has more than \(Surroundings.namesMax) entries; "
                    + "only \(Surroundings.namesMax) of them were examined.")
        }
        return diagnosis
    }

    /// Single files next to complete checkpoints are parts of a collection.
    private func foreign(_ place: Surroundings) -> Diagnosis? {
        guard let found = ForeignDiagnosis(place: place).run() else { return nil }
        guard found.kind == .safetensors else { return found }
        let collection = collection(place)
        return collection.children.contains { place.isDirectory($0.name) } ? collection : found
    }

    /// The contents one level down, if any are recognized.
    private func collection(_ place: Surroundings) -> Diagnosis {
        // An import ignores hidden files, too.
        let names = place.names.filter { !$0.hasPrefix(".") }.sorted()
        var children: [Diagnosis.Child] = []
        var looked = 0
        for name in names where looked < Self.childrenMax && place.isDirectory(name) {
            looked += 1
            guard let inner = place.inside(name) else { continue }
            if let found = StoreDiagnosis(place: inner).run()
                ?? ForeignDiagnosis(place: inner).run()
            {
                children.append(.init(name: name, diagnosis: found))
            }
        }
        let plain = names.prefix(Self.childrenMax).filter { !place.isDirectory($0) }
        for name in plain {
            let file = FileDiagnosis(
                path: place.place(name), isThorough: plain.count <= Self.thoroughMax)
            // A file that cannot be read is not recognized.
            guard let found = try? file.run() else { continue }
            if found.kind == .unknownFile, !file.isNamedAsWeights || found.problems.isEmpty { continue }
            children.append(.init(name: name, diagnosis: found))
        }
        let limit = looked == Self.childrenMax ? ["Only \(looked) directories were examined."] : []
        guard !children.isEmpty else {
            let shown = names.isEmpty ? place.names.sorted() : names
            return Diagnosis(
                .unknownDirectory, "A directory without checkpoints of a known format.",
                facts: [
                    "\(shown.count == 1 ? "1 entry" : "\(shown.count) entries"), such as \(shown.prefix(3).joined(separator: ", "))."
                ] + limit)
        }
        var diagnosis = Diagnosis(
            .collection, "A directory of checkpoints.",
            facts: [
                "It contains \(children.count) checkpoint \(children.count == 1 ? "file or directory" : "files or directories")."
            ] + limit)
        if plain.count > Self.thoroughMax {
            diagnosis.facts.append(
                "Only the beginning of each file was read: for more checks, "
                    + "run ckpt doctor on one file.")
        }
        diagnosis.children = children.sorted { $0.name < $1.name }
        let first = diagnosis.children.first { !$0.diagnosis.isFine } ?? diagnosis.children.first
        diagnosis.advice.append(
            "ckpt doctor \(quoted(place.path.string + "/" + (first?.name ?? "")))")
        return diagnosis
    }

    /// Reports outputs that a killed export or restore did not finish.
    private func findLeftovers(of place: Surroundings, _ diagnosis: inout Diagnosis) {
        let exports = place.names.filter { $0.hasPrefix(".ckpt-") }.sorted()
        if let first = exports.first {
            diagnosis.facts.append(
                "\(Output.count(exports.count, "unfinished output")), such as \(first), of a killed export.")
            diagnosis.advice.append(
                "If no export is running: rm -r \(quoted(place.path.string))/.ckpt-*")
        }
        if !place.has("index.json"), place.has("00000.bin") || place.has("00000.npy") {
            diagnosis.problems.append(
                "It contains files of an unfinished restore: there is no index.json, which is written last.")
            diagnosis.advice.append("Delete the directory and run ckpt restore again.")
        }
    }
}

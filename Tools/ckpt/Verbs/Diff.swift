internal import CheckpointStorage
internal import CheckpointInterchange
internal import CheckpointMaintenance
import ArgumentParser
import Checkpointing
import SystemPackage

struct Diff: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Compares two checkpoints, or a checkpoint and a safetensors file.",
        usage: "ckpt diff STORE A B [options]",
        discussion: """
            Example: ckpt diff runs/first 1000 2000 --tensor 'model.*'
            Example: ckpt diff runs/first latest weights.safetensors --epsilon 1e-6

            Reads only chunks that differ. RELATIVE (the relative L2 norm) and COSINE cover those chunks, or with --whole \
            the complete tensors. CHANGED is the share of elements that differ; NONFINITE counts pairs of elements with \
            NaN or infinity. Objects are compared as values; a file has no objects. Exit code 0 means identical (or equal \
            within --epsilon), 1 different.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The first checkpoint; see ckpt --help.", valueName: "a"))
    var before: CheckpointReference

    @Argument(
        help: ArgumentHelp(
            "The second checkpoint, or a safetensors file, index or directory.",
            valueName: "b"))
    var after: Counterpart

    @Option(help: ArgumentHelp("Store of the second checkpoint (default: STORE).", valueName: "dir"))
    var otherStore: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Treats elements that differ by at most this as equal.", valueName: "distance"))
    var epsilon: Double?

    @Flag(help: "Reads changed tensors completely, to compute exact norms.")
    var whole = false

    @Flag(help: "Prints one line, for logs.")
    var summary = false

    @Option(help: ArgumentHelp("Compares only tensors that match (* and ?); repeatable.", valueName: "glob"))
    var tensor: [String] = []

    func validate() throws {
        if let epsilon, !(epsilon >= 0) { throw ValidationError("--epsilon must be at least 0 (got \(epsilon))") }
        if case .file = after, otherStore != nil { throw ValidationError("--other-store cannot be combined with a file") }
    }

    func execute() throws -> ExitCode {
        let store = try common.open()
        let old = try store.find(before).manifest
        let (result, label, name) = try compare(store, old)
        ProgressLine.clear()
        if common.json { printJSON(result, old, label) } else { printText(result, old, name) }
        return result.isEqual ? .fine : .difference
    }

    /// - Returns: the comparison, and the second side as JSON and as text.
    private func compare(_ store: CheckpointStore, _ old: Manifest) throws -> (CheckpointComparison, JSONValue, String) {
        var options = CheckpointComparison.Options()
        (options.epsilon, options.patterns, options.readsChangedWhole) = (epsilon, tensor.map { NamePattern($0) }, whole)
        let progress = ProgressLine("comparing")
        options.onProgress = { progress.show($0, of: $1) }
        switch after {
        case .checkpoint(let reference):
            let other = try otherStore.map { try StoreAddress($0).open(for: .reading) } ?? store
            let new = try other.find(reference).manifest
            let result = try store.compare(old, with: new, of: other, options)
            return (result, .label(new.id, new.run, new.step), "step \(new.step) (\(Output.short(new.id)))")
        case .file(let path):
            var reading = ImportOptions()
            reading.format = .safetensors
            let files = try ForeignFiles([path], options: reading, spillDirectory: "/tmp")
            for part in files.leftOut { Output.warn("\(path): \(part.name) is not compared: \(part.what)") }
            for note in files.notes { Output.warn(note) }
            let result = try store.compare(old, with: files.tensors, options)
            return (result, .object([.init("path", .string(path))]), path)
        }
    }

    private func printText(_ result: CheckpointComparison, _ old: Manifest, _ name: String) {
        if !summary { printTables(result) }
        let before = "step \(old.step) (\(Output.short(old.id)))"
        let (tensors, things) = (result.tensors, result.objects)
        let within = epsilon.map { " within \(Output.figure($0))" } ?? ""
        let read = "\(Output.size(result.readBytes)) read"
        if result.isEqual {
            let counts = "\(Output.count(tensors.count, "tensor")), \(Output.count(things.count, "object"))"
            let verdict = epsilon == nil ? "identical" : "equal\(within)"
            return Output.line("\(before) and \(name) are \(verdict): \(counts) (\(read))")
        }
        let changed = tensors.filter { !result.isEqual($0) }
        var text = "\(before) and \(name) DIFFER\(within) in \(changed.count) of \(Output.count(tensors.count, "tensor")) and "
            + "\(things.count { $0.change != .equal }) of \(Output.count(things.count, "object"))"
        if let largest = changed.compactMap({ $0.difference?.largest }).max() { text += "; largest difference \(Output.figure(largest))" }
        let strange = changed.reduce(0) { $0 + ($1.difference?.nonFinite ?? 0) }
        if strange > 0 { text += "; \(Output.count(strange, "pair")) of elements with NaN or infinity" }
        Output.line("\(text) (\(read))")
    }

    private func printTables(_ result: CheckpointComparison) {
        let showsNonFinite = result.tensors.contains { ($0.difference?.nonFinite ?? 0) > 0 }
        var columns: [Column] = [
            .init("TENSOR", shortest: 16), "CHANGE", .init("BEFORE", rank: 5, shortest: 10), .init("AFTER", rank: 4, shortest: 10),
            "CHANGED", "LARGEST", .init("L2", rank: 3), .init("RELATIVE", rank: 1), .init("COSINE", rank: 2),
        ]
        if showsNonFinite { columns.append("NONFINITE") }
        var table = Table(columns)
        for tensor in result.tensors where tensor.change != .equal {
            let change = result.isEqual(tensor) ? "within" : tensor.change.rawValue
            let nonFinite = showsNonFinite ? [tensor.difference.map { String($0.nonFinite) } ?? "-"] : []
            table.add([tensor.name, change, text(tensor.before), text(tensor.after)] + figures(tensor) + nonFinite)
        }
        table.print()
        var objects = Table([.init("OBJECT", shortest: 16), "CHANGE"])
        for object in result.objects where object.change != .equal { objects.add([object.name, object.change.rawValue]) }
        objects.print()
    }

    /// The share of changed elements: in percent, or as a number if the percentage would be shown as 0.
    private func share(_ tensor: CheckpointComparison.Tensor, _ difference: ElementDifference) -> String {
        if difference.changed > 0, tensor.changedFraction < 0.001 { return "\(difference.changed) of \(tensor.elementCount)" }
        return Output.figure(tensor.changedFraction * 100) + " %"
    }

    private func text(_ form: CheckpointComparison.Form?) -> String {
        form.map { "\($0.type.rawValue) \(Output.shape($0.shape))" } ?? "-"
    }

    private func figures(_ tensor: CheckpointComparison.Tensor) -> [String] {
        guard let difference = tensor.difference else { return ["-", "-", "-", "-", "-"] }
        return [
            share(tensor, difference), Output.figure(difference.largest), Output.figure(difference.norm),
            difference.relativeNorm.map { Output.figure($0) } ?? "-", difference.cosine.map { Output.figure($0) } ?? "-",
        ]
    }

    private func printJSON(_ result: CheckpointComparison, _ old: Manifest, _ after: JSONValue) {
        Output.json(
            .object([
                .init("equal", .bool(result.isEqual)), .init("before", .label(old.id, old.run, old.step)), .init("after", after),
                .init("epsilon", epsilon.map { .metric($0) } ?? .null), .init("read_bytes", .count(result.readBytes)),
                .init("tensors", .array(result.tensors.map(json))), .init("objects", .array(result.objects.map(json))),
            ]))
    }

    private func json(_ tensor: CheckpointComparison.Tensor) -> JSONValue {
        .object([
            .init("name", .string(tensor.name)), .init("change", .string(tensor.change.rawValue)),
            .init("before", json(tensor.before)), .init("after", json(tensor.after)),
            .init("difference", tensor.difference.map { json($0, tensor) } ?? .null),
        ])
    }

    private func json(_ form: CheckpointComparison.Form?) -> JSONValue {
        form.map { .object([.init("type", .string($0.type.rawValue)), .init("shape", .counts($0.shape))]) } ?? .null
    }

    private func json(_ difference: ElementDifference, _ tensor: CheckpointComparison.Tensor) -> JSONValue {
        .object([
            .init("elements", .count(tensor.elementCount)), .init("compared", .count(difference.compared)),
            .init("changed", .count(difference.changed)), .init("changed_fraction", .metric(tensor.changedFraction)),
            .init("beyond_epsilon", .count(difference.beyond)), .init("non_finite", .count(difference.nonFinite)),
            .init("max_abs", .metric(difference.largest)), .init("l2", .metric(difference.norm)),
            .init("relative_l2", difference.relativeNorm.map { .metric($0) } ?? .null),
            .init("cosine", difference.cosine.map { .metric($0) } ?? .null),
        ])
    }

    private func json(_ object: CheckpointComparison.Object) -> JSONValue {
        .object([
            .init("name", .string(object.name)), .init("change", .string(object.change.rawValue)),
            .init("json_equal", object.isSameJSON.map { .bool($0) } ?? .null),
        ])
    }
}

/// The second side of a comparison, on the command line.
enum Counterpart: ExpressibleByArgument {
    case checkpoint(CheckpointReference)
    case file(String)

    init?(argument: String) {
        if argument.hasSuffix(".safetensors") || argument.hasSuffix(".index.json") || argument.contains("/") {
            self = .file(argument)
        } else if let reference = CheckpointReference(argument) {
            self = .checkpoint(reference)
        } else {
            return nil
        }
    }
}

extension CheckpointComparison.Tensor {
    var elementCount: Int { after.flatMap { TensorShape.elementCount($0.shape) } ?? 0 }
    var changedFraction: Double { Double(difference?.changed ?? 0) / Double(max(elementCount, 1)) }
}

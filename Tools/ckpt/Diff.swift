import ArgumentParser
import CheckpointFormat
import Checkpointing

struct Diff: Verb {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Compares two checkpoints.",
        discussion: """
            Example: ckpt diff runs/first 1000 2000

            Tensors that are equal chunk by chunk are not read. Exit code 0 means equal, 1 different.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The first: latest, a step, or the first digits of an id.", valueName: "a"))
    var before: CheckpointReference

    @Argument(help: ArgumentHelp("The second, named likewise.", valueName: "b"))
    var after: CheckpointReference

    @Option(help: ArgumentHelp("The store of the second checkpoint, if it is another.", valueName: "dir"))
    var otherStore: String?

    func execute() throws -> ExitCode {
        let store = try common.open()
        let other = try otherStore.map { try CheckpointStore.open($0, for: .reading) { Output.warn($0) } } ?? store
        let old = try store.find(before).manifest
        let new = try other.find(after).manifest
        let result = try store.compare(old, with: new, of: other)
        if common.json { printJSON(result, old, new) } else { printText(result) }
        return result.isEqual ? .fine : .difference
    }

    private func printText(_ result: CheckpointComparison) {
        var table = Table(["TENSOR", "CHANGE", "BEFORE", "AFTER", "CHANGED", "LARGEST", "L2", "RELATIVE"])
        for tensor in result.tensors where tensor.change != .equal {
            let what = [tensor.name, tensor.change.rawValue, text(tensor.before), text(tensor.after)]
            table.add(what + figures(tensor.difference))
        }
        table.print()
        var objects = Table(["OBJECT", "CHANGE", "JSON"])
        for object in result.objects where object.change != .equal {
            let isSame = object.isSameJSON.map { $0 ? "equal" : "different" }
            objects.add([object.name, object.change.rawValue, isSame ?? "-"])
        }
        objects.print()
        let (tensors, things) = (result.tensors, result.objects)
        Output.line(
            "equal: \(tensors.count { $0.change == .equal }) of \(tensors.count) tensors, "
                + "\(things.count { $0.change == .equal }) of \(things.count) objects; "
                + "\(Output.size(result.readBytes)) read")
    }

    private func text(_ form: CheckpointComparison.Form?) -> String {
        form.map { "\($0.type.rawValue) \(Output.shape($0.shape))" } ?? "-"
    }

    private func figures(_ difference: ElementDifference?) -> [String] {
        guard let difference else { return ["-", "-", "-", "-"] }
        let percent = Double(difference.changed) / Double(max(difference.elements, 1)) * 100
        return [
            Output.figure(percent) + " %", Output.figure(difference.largest), Output.figure(difference.norm),
            difference.relativeNorm.map { Output.figure($0) } ?? "-",
        ]
    }

    private func printJSON(_ result: CheckpointComparison, _ old: Manifest, _ new: Manifest) {
        Output.json(
            .object([
                .init("equal", .bool(result.isEqual)), .init("before", .label(old.id, old.run, old.step)),
                .init("after", .label(new.id, new.run, new.step)), .init("read_bytes", .count(result.readBytes)),
                .init("tensors", .array(result.tensors.map(json))), .init("objects", .array(result.objects.map(json))),
            ]))
    }

    private func json(_ tensor: CheckpointComparison.Tensor) -> JSONValue {
        .object([
            .init("name", .string(tensor.name)), .init("change", .string(tensor.change.rawValue)),
            .init("before", json(tensor.before)), .init("after", json(tensor.after)),
            .init("difference", tensor.difference.map(json) ?? .null),
        ])
    }

    private func json(_ form: CheckpointComparison.Form?) -> JSONValue {
        form.map { .object([.init("type", .string($0.type.rawValue)), .init("shape", .counts($0.shape))]) } ?? .null
    }

    private func json(_ difference: ElementDifference) -> JSONValue {
        .object([
            .init("elements", .count(difference.elements)), .init("changed", .count(difference.changed)),
            .init("changed_fraction", .metric(Double(difference.changed) / Double(max(difference.elements, 1)))),
            .init("non_finite", .count(difference.nonFinite)), .init("max_abs", .metric(difference.largest)),
            .init("l2", .metric(difference.norm)),
            .init("relative_l2", difference.relativeNorm.map { .metric($0) } ?? .null),
        ])
    }

    private func json(_ object: CheckpointComparison.Object) -> JSONValue {
        .object([
            .init("name", .string(object.name)), .init("change", .string(object.change.rawValue)),
            .init("json_equal", object.isSameJSON.map { .bool($0) } ?? .null),
        ])
    }
}

internal import CheckpointStorage
internal import CheckpointMaintenance
internal import CheckpointObjects
internal import CheckpointInterchange
import ArgumentParser
import Checkpointing
import Foundation

struct Inspect: StoreVerb {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Shows the tensors, objects and metadata of a checkpoint.",
        usage: "ckpt inspect STORE [REF] [options]",
        discussion: """
            Example: ckpt inspect runs/first step-1000 --tensor '*.weight' --stats

            Reads the objects, and with --digests or --stats the tensors; checks every byte against its hash. Statistics \
            cover the finite elements. Memory use is independent of tensor size; --stats reads each tensor twice.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint (default: latest); see ckpt --help.", valueName: "ref"))
    var reference = CheckpointReference.latest

    @Option(help: ArgumentHelp("Shows only tensors that match (* and ?); repeatable.", valueName: "glob"))
    var tensor: [String] = []

    @Flag(help: "Adds min, max, mean, std, norm, NaN count and a histogram.")
    var stats = false

    @Flag(help: "Adds the XXH3-128 digest of each tensor and object.")
    var digests = false

    @Flag(help: "Draws which rank saved which part of each tensor, and tells which ranks held the same.")
    var layout = false

    func execute() throws -> ExitCode {
        let store = try common.open()
        let (manifest, skipped) = try store.find(reference)
        let (reader, stream) = (ContentReader(store: store, manifest: manifest), TensorStream(store: store, manifest: manifest))
        let records = try manifest.tensors(matching: tensor.map { NamePattern($0) }).map(\.record)
        let hashes = digests ? try hashes(of: records, stream) : records.map { _ in nil }
        let objects = try manifest.objects.map { try ObjectContent($0, reader) }
        let figures = stats ? try figures(of: records, stream) : records.map { _ in nil }
        let holders = layout ? try store.holders(of: manifest.name) : [:]
        let tensors = records.indices.map { index in
            let record = records[index]
            return Row(
                record: record, storage: manifest.storage(of: record.shards.map(\.chunks)), digest: hashes[index],
                figures: figures[index],
                layout: layout ? Layout(record, in: manifest, holders[ByteName(record.name)] ?? [:]) : nil)
        }
        ProgressLine.clear()
        let marks = try store.marks()
        let shares = try store.storedShares(of: Checkpoint(manifest, in: store))
        if common.json {
            printJSON(manifest, shares, marks, tensors, objects, skipped)
        } else {
            printText(manifest, shares, marks, tensors, objects)
        }
        return .fine
    }

    /// Lines of an object that are shown.
    private static let linesMax = 40

    private struct Row {
        let record: TensorRecord
        let storage: TensorInfo.Storage
        let digest: Hash128?
        let figures: TensorFigures?
        let layout: Layout?
    }

    private func figures(of records: [TensorRecord], _ stream: TensorStream) throws -> [TensorFigures?] {
        let total = records.reduce(0) { $0 + $1.bytes }
        let progress = ProgressLine("measuring")
        return try records.map { record in
            defer { progress.show(stream.readBytes / 2, of: total) }
            return try TensorFigures(record, stream)
        }
    }

    private func hashes(of records: [TensorRecord], _ stream: TensorStream) throws -> [Hash128?] {
        let total = records.reduce(0) { $0 + $1.bytes }
        var done = 0
        let progress = ProgressLine("reading")
        return try records.map { record in
            try stream.readInOrder(record) {
                done += $0.count
                progress.show(done, of: total)
            }
        }
    }

    private func printJSON(
        _ manifest: Manifest, _ shares: StoredShares, _ marks: Marks, _ tensors: [Row], _ objects: [ObjectContent],
        _ skipped: [CheckpointError]
    ) {
        Output.json(
            manifest.description.adding([
                .init("tags", .strings(marks.tagsByName()[manifest.name] ?? [])),
                .init("pinned", .bool(marks.pins.contains(manifest.name))),
                .init("own_bytes", .count(shares.own)), .init("shared_bytes", .count(shares.shared)),
                .init("base_bytes", .count(shares.bases)),
                .init("transfer_check", manifest.transferCheck.map { .string($0) } ?? .null),
                .init("completeness", Completeness(of: manifest).json),
                .init("tensors", .array(tensors.map { row in
                    row.record.description(row.storage, row.digest)
                        .adding(row.figures.map { [.init("stats", $0.json)] } ?? [])
                        .adding(row.layout.map { [.init("layout", $0.json)] } ?? [])
                })),
                .init("objects", .array(objects.map { $0.description(withDigest: digests) })),
                .init("skipped", .array(skipped.map { .error($0) })),
            ]))
    }

    private func printText(
        _ manifest: Manifest, _ shares: StoredShares, _ marks: Marks, _ tensors: [Row], _ objects: [ObjectContent]
    ) {
        printHead(manifest, shares)
        let tags = (marks.tagsByName()[manifest.name] ?? []) + (marks.pins.contains(manifest.name) ? ["(pinned)"] : [])
        if !tags.isEmpty { Output.line("tags        \(tags.joined(separator: " "))") }
        printTensors(tensors)
        for object in objects {
            Output.line()
            let digest = digests ? "  \(object.digest)" : ""
            Output.line(
                "object \(object.record.name)  \(object.record.role.rawValue)  \(object.record.encoding.rawValue)  "
                    + "\(Output.size(object.record.bytes))\(digest)")
            guard object.record.encoding == .json else { continue }
            let lines = object.value.map(PrettyJSON.lines) ?? [object.text]
            for line in lines.prefix(Self.linesMax) { Output.line("  " + line) }
            if lines.count > Self.linesMax {
                Output.line(
                    "  ... \(lines.count - Self.linesMax) more lines; ckpt cat prints the object")
            }
        }
    }

    private func printHead(_ manifest: Manifest, _ shares: StoredShares) {
        let parent = manifest.parent.map { "step \($0.step) (\($0.id))" } ?? "none"
        let metrics = manifest.metrics.map { "\($0.name)=\(Output.figure($0.value))" }.joined(separator: " ")
        let (bytes, stored) = (manifest.logicalBytes, shares.own + shares.shared)
        let created = Date(timeIntervalSince1970: Double(manifest.created) / 1000)
        Output.line("checkpoint  \(manifest.id)")
        Output.line("step        \(manifest.step)")
        Output.line("run         \(manifest.run) \(manifest.runName)")
        Output.line("parent      \(parent)")
        Output.line("created     \(Output.time(created)) by \(manifest.writer)")
        Output.line("metrics     \(metrics.isEmpty ? "none" : metrics)")
        Output.line("size        \(Output.size(bytes)), stored \(Output.size(stored)), \(Output.ratio(bytes, stored))")
        Output.line(
            "            \(Output.size(shares.own)) its own, \(Output.size(shares.shared)) shared with other checkpoints"
                + (shares.bases == 0 ? "" : ", and \(Output.size(shares.bases)) as bases of its deltas"))
        if let check = manifest.transferCheck {
            Output.line("sent        \(TransferCheck(rawValue: check)?.text ?? check)")
        }
        Output.line("to resume   \(Completeness(of: manifest).text)")
    }

    private func printTensors(_ tensors: [Row]) {
        let columns: [Column] = [
            .init("NAME", shortest: 16), "TYPE", .init("SHAPE", shortest: 10), .init("ROLE", rank: 3), "SIZE",
            .init("CHUNKS", rank: 4), .init("CODEC", rank: 2), .init("RATIO", rank: 1),
        ]
        var table = Table(columns + (digests ? ["DIGEST"] : []))
        for row in tensors {
            let (record, storage) = (row.record, row.storage)
            table.add(
                [
                    record.name, record.type.rawValue, Output.shape(record.shape), record.role.rawValue,
                    Output.size(record.bytes), String(storage.chunkCount), storage.codecs.joined(separator: ","),
                    Output.ratio(storage.bytes, storage.storedBytes),
                ] + (row.digest.map { [$0.description] } ?? []))
        }
        Output.line()
        table.print()
        for row in tensors {
            guard let layout = row.layout else { continue }
            Output.line()
            Output.line("\(row.record.name)  \(Output.shape(row.record.shape))")
            for line in layout.lines { Output.line("  " + line) }
        }
        guard stats else { return }
        var figures = Table(TensorFigures.columns)
        for row in tensors { if let cells = row.figures?.cells(row.record.name) { figures.add(cells) } }
        Output.line()
        figures.print()
    }
}

/// JSON over several lines, for people.
enum PrettyJSON {
    static func lines(_ value: JSONValue) -> [String] {
        switch value {
        case .object(let members) where !members.isEmpty:
            list("{", members.map { (Output.encoded(.string($0.key)) + ": ", $0.value) }, "}")
        case .array(let elements) where elements.contains { $0.isContainer }:
            list("[", elements.map { ("", $0) }, "]")
        default: [Output.encoded(value)]
        }
    }

    private static func list(_ open: String, _ items: [(String, JSONValue)], _ close: String) -> [String] {
        var result = [open]
        for (index, (prefix, value)) in items.enumerated() {
            var inner = lines(value)
            inner[0] = prefix + inner[0]
            if index < items.count - 1 { inner[inner.count - 1] += "," }
            result += inner.map { "  " + $0 }
        }
        return result + [close]
    }
}

extension JSONValue {
    fileprivate var isContainer: Bool {
        switch self {
        case .array, .object: true
        default: false
        }
    }
}

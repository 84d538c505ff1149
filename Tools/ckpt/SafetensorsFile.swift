import CheckpointExchange
import CheckpointFormat
import CheckpointIO
import CheckpointState
import Checkpointing
import Foundation
import SystemPackage

/// Writes a checkpoint as safetensors: one file, or a directory of shards with an index. Tensors go from the store to the file a block at a
/// time, so that memory does not grow with them.
struct SafetensorsFile {
    var path: String
    var shardBytesMax: Int
    var renaming: Renaming
    var includesObjects: Bool
    var force: Bool

    /// What was written.
    struct Report {
        var manifest: Manifest
        var files: [(name: String, bytes: Int)]
        var tensors: [JSONValue]
        var tensorBytes: Int
        var objectCount: Int
    }

    private var isSingle: Bool { path.hasSuffix(".safetensors") }
    static let objectsName = "objects.json"

    /// Files of an earlier export, which `force` replaces.
    private static func isOurs(_ name: String) -> Bool {
        name.hasSuffix(".safetensors") || name == SafetensorsLayout.indexName || name == objectsName
    }

    func write(_ manifest: Manifest, _ records: [TensorRecord], from store: CheckpointStore) throws -> Report {
        try exchanging { try Interruption.takingBack { try write(manifest, records, from: store, announce: $0) } }
    }

    private func write(
        _ manifest: Manifest, _ records: [TensorRecord], from store: CheckpointStore, announce: (String) -> Void
    ) throws -> Report {
        let reader = ContentReader(store: store, manifest: manifest)
        let objects = includesObjects ? try manifest.objects.map { try ObjectContent($0, reader) } : []
        let layout = try layout(manifest, records, try metadata(manifest, reader))
        let output = try output(path, isDirectory: !isSingle, announce)
        // Beside a single file, objects have a file of their own.
        let beside = isSingle && includesObjects ? try self.output(path + "." + Self.objectsName, isDirectory: false, announce) : nil
        var written = try write(layout, records, reader, output)
        if includesObjects {
            written.append(try write(.object([.init("objects", .array(objects.map(Self.json)))]), Self.objectsName, beside ?? output))
        }
        if !isSingle { written.append(try write(layout.index, SafetensorsLayout.indexName, output)) }
        try beside?.publish()
        try output.publish()
        return Report(
            manifest: manifest, files: written, tensors: rows(layout, records), tensorBytes: layout.bytes, objectCount: objects.count)
    }

    private func output(_ path: String, isDirectory: Bool, _ announce: (String) -> Void) throws -> AtomicOutput {
        try AtomicOutput(
            FilePath(path), isDirectory: isDirectory, replacement: force ? AtomicOutput.Replacement(Self.isOurs) : nil,
            in: POSIXFileSystem(usesDirectIO: false), announce: announce)
    }

    private func layout(
        _ manifest: Manifest, _ records: [TensorRecord], _ metadata: [(name: String, value: String)]
    ) throws -> SafetensorsLayout {
        var seen: [[UInt8]: String] = [:]
        let tensors = try records.map { record in
            let name = renaming.name(of: record.name)
            if name.isEmpty || name == "__metadata__" {
                throw CheckpointError(.misuse, "tensor \(record.name) cannot be called \(name) in a safetensors file", names: [record.name])
            }
            if let other = seen.updateValue(record.name, forKey: Array(name.utf8)) {
                throw CheckpointError(.misuse, "tensors \(other) and \(record.name) would both be called \(name)", names: [record.name])
            }
            return (name: name, type: record.type, shape: record.shape)
        }
        return isSingle
            ? SafetensorsLayout(file: FilePath(path).lastComponent?.string ?? path, tensors, metadata: metadata)
            : SafetensorsLayout(tensors, shardBytesMax: shardBytesMax, metadata: metadata)
    }

    /// What `__metadata__` says: where the tensors come from, and what an import found there.
    private func metadata(_ manifest: Manifest, _ reader: ContentReader) throws -> [(name: String, value: String)] {
        // Transformers refuses a file that does not name the framework its tensors are laid out for.
        var pairs = [("format", "pt")]
        if let record = manifest.objects.first(where: { $0.name == "safetensors_metadata" && $0.encoding == .json }),
            case .object(let members)? = try ObjectContent(record, reader).value
        {
            for member in members where member.key != "format" {
                if case .string(let text) = member.value { pairs.append((member.key, text)) }
            }
        }
        let own = [
            ("checkpoint", manifest.id.description), ("run", manifest.run.description), ("run_name", manifest.runName),
            ("step", String(manifest.step)),
        ] + manifest.metrics.map { ("metric.\($0.name)", String(describing: $0.value)) }
        let names = Set(own.map(\.0))
        return (pairs.filter { !names.contains($0.0) } + own).map { (name: $0.0, value: $0.1) }
    }

    private func write(
        _ layout: SafetensorsLayout, _ records: [TensorRecord], _ reader: ContentReader, _ output: AtomicOutput
    ) throws -> [(name: String, bytes: Int)] {
        let original = Dictionary(
            records.map { (Array(renaming.name(of: $0.name).utf8), $0.name) }, uniquingKeysWith: { first, _ in first })
        var written: [(name: String, bytes: Int)] = []
        var places: [any StateProvider] = []
        for shard in layout.shards {
            let file = try output.create(shard.fileName)
            try file.write(shard.header.encoded, at: 0)
            for entry in shard.header.entries {
                let range = shard.header.dataOffset + entry.range.lowerBound..<shard.header.dataOffset + entry.range.upperBound
                let name = original[Array(entry.name.utf8), default: entry.name]
                places.append(TensorState(name, try file.place(entry.type, entry.shape, at: range)))
            }
            written.append((shard.fileName, shard.header.dataOffset + (shard.header.entries.last?.range.upperBound ?? 0)))
        }
        let (progress, done) = (ProgressLine("exporting"), Monitor(0))
        try reader.tensors(records, into: State(children: places)) { bytes in
            let sum = done.withLock { sum in
                sum += bytes
                return sum
            }
            progress.show(sum, of: layout.bytes)
        }
        ProgressLine.clear()
        return written
    }

    private func write(_ value: JSONValue, _ name: String, _ output: AtomicOutput) throws -> (name: String, bytes: Int) {
        let text = Array((Output.encoded(value) + "\n").utf8)
        try output.create(name).write(text, at: 0)
        return (isSingle ? (FilePath(path).lastComponent?.string ?? "") + "." + name : name, text.count)
    }

    private static func json(_ object: ObjectContent) -> JSONValue {
        let description = object.description(withDigest: true)
        guard object.record.encoding == .bytes else { return description }
        return description.adding([.init("base64", .string(Data(object.bytes).base64EncodedString()))])
    }

    private func rows(_ layout: SafetensorsLayout, _ records: [TensorRecord]) -> [JSONValue] {
        var places: [[UInt8]: String] = [:]
        for shard in layout.shards { for entry in shard.header.entries { places[Array(entry.name.utf8)] = shard.fileName } }
        return records.map { record in
            let name = renaming.name(of: record.name)
            return .object([
                .init("name", .string(record.name)), .init("exported_name", .string(name)), .init("type", .string(record.type.rawValue)),
                .init("shape", .counts(record.shape)), .init("bytes", .count(record.bytes)),
                .init("file", .string(places[Array(name.utf8), default: ""])),
            ])
        }
    }
}

extension SafetensorsFile.Report {
    /// What `--json` prints.
    func json(_ skipped: [CheckpointError]) -> JSONValue {
        manifest.description.adding([
            .init("format", .string("safetensors")), .init("tensor_bytes", .count(tensorBytes)), .init("tensors", .array(tensors)),
            .init("files", .array(files.map { .object([.init("name", .string($0.name)), .init("bytes", .count($0.bytes))]) })),
            .init("skipped", .array(skipped.map { .error($0) })),
        ])
    }

    func text(_ verb: String, _ path: String) -> String {
        let objects = objectCount == 0 ? "" : " and \(Output.count(objectCount, "object"))"
        return "\(verb) \(Output.count(tensors.count, "tensor")) (\(Output.size(tensorBytes)))\(objects) of step \(manifest.step) "
            + "(\(Output.short(manifest.id))) to \(path): \(Output.count(files.count, "file"))"
    }
}

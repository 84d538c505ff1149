internal import CheckpointExchange
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage
internal import Foundation
internal import SystemPackage

/// Writes a checkpoint as safetensors: one file, or a directory of shards with an index.
///
/// Tensors are copied from the store to the file in blocks: memory use is independent of their
/// size.
struct SafetensorsExport {
    let path: String
    let options: ExportOptions

    private var isSingle: Bool { path.hasSuffix(".safetensors") }
    static let objectsName = "objects.json"

    /// Files of an earlier export, which `force` replaces.
    private static func isOurs(_ name: String) -> Bool {
        name.hasSuffix(".safetensors") || name == SafetensorsLayout.indexName || name == objectsName
    }

    func run(_ checkpoint: Checkpoint) throws(CheckpointError) -> ExportReport {
        let records = try checkpoint.manifest.tensors(matching: options.tensors).map(\.record)
        return try exchanging("exporting") { try write(records, of: checkpoint) }
    }

    private func write(_ records: [TensorRecord], of checkpoint: Checkpoint) throws -> ExportReport
    {
        let manifest = checkpoint.manifest
        let reader = ContentReader(
            store: checkpoint.store, manifest: manifest, cancellation: options.cancellation)
        let objects =
            options.includesObjects
            ? try manifest.objects.map { try ObjectContent($0, reader) } : []
        let kept = try KeptMetadata(manifest, reader)
        let layout = try layout(records, kept, of: manifest)
        let output = try output(path, isDirectory: !isSingle)
        // Objects of a single file are in a second file next to it.
        let beside =
            isSingle && options.includesObjects
            ? try self.output(path + "." + Self.objectsName, isDirectory: false) : nil
        var files = try write(layout, records, reader, output)
        if options.includesObjects {
            let list = JSONValue.object([.init("objects", .array(objects.map(Self.json)))])
            files.append(try write(list, Self.objectsName, beside ?? output))
        }
        if !isSingle {
            files.append(try write(layout.index(kept.index), SafetensorsLayout.indexName, output))
        }
        try beside?.publish()
        try output.publish()
        return ExportReport(
            checkpoint: checkpoint, files: files, tensors: tensors(layout, records, manifest),
            tensorBytes: layout.bytes, objectCount: objects.count)
    }

    /// Passes on the bytes of one safetensors file, in order.
    ///
    /// - Parameters:
    ///   - checkpoint: the checkpoint to export.
    ///   - write: called on this thread with the bytes that follow.
    func stream(
        _ checkpoint: Checkpoint, _ write: ([UInt8]) throws(CheckpointError) -> Void
    ) throws(CheckpointError) -> ExportReport {
        let manifest = checkpoint.manifest
        let reader = ContentReader(store: checkpoint.store, manifest: manifest)
        let records = try manifest.tensors(matching: options.tensors).map(\.record)
        let layout = try exchanging("exporting") { () throws -> SafetensorsLayout in
            try self.layout(records, KeptMetadata(manifest, reader), of: manifest)
        }
        let header = layout.shards[0].header
        try write(header.encoded)
        let original = originals(records)
        var done = 0
        for entry in header.entries {
            guard let record = original[ByteName(entry.name)] else {
                preconditionFailure("a layout has the tensors it was made of")
            }
            try checkpoint.withBytes(ofTensor: record.name) { bytes throws(CheckpointError) in
                try options.cancellation.check("the export")
                try write(bytes)
                done += bytes.count
                options.onProgress?(done, layout.bytes)
            }
        }
        let file = ExportReport.File(name: path, byteCount: header.dataOffset + layout.bytes)
        return ExportReport(
            checkpoint: checkpoint, files: [file],
            tensors: tensors(layout, records, manifest), tensorBytes: layout.bytes, objectCount: 0)
    }

    private func originals(_ records: [TensorRecord]) -> [ByteName: TensorRecord] {
        Dictionary(
            records.map { (ByteName(options.renaming.name(of: $0.name)), $0) },
            uniquingKeysWith: { first, _ in first })
    }

    private func output(_ path: String, isDirectory: Bool) throws -> AtomicOutput {
        try AtomicOutput(
            FilePath(path), isDirectory: isDirectory,
            replacement: options.replacesExisting ? AtomicOutput.Replacement(Self.isOurs) : nil,
            in: POSIXFileSystem(usesDirectIO: false))
    }

    private func layout(
        _ records: [TensorRecord], _ kept: KeptMetadata, of manifest: Manifest
    ) throws -> SafetensorsLayout {
        var seen: [ByteName: String] = [:]
        var bytes: [JSONValue.Member] = []
        let tensors = try records.map { record in
            let name = options.renaming.name(of: record.name)
            if name.isEmpty || name == "__metadata__" {
                throw CheckpointError(
                    .misuse,
                    "tensor \(record.name) cannot have the name \"\(name)\" in a safetensors file",
                    remedy: "Give the tensor another name with --rename or --names",
                    names: [record.name])
            }
            if let other = seen.updateValue(record.name, forKey: ByteName(name)) {
                throw CheckpointError(
                    .misuse, "tensors \(other) and \(record.name) would both have the name \(name)",
                    remedy: "Change --rename or --names", names: [record.name])
            }
            if let known = kept.form(of: record) {
                return SafetensorsTensor(
                    name, named: known.type, known.shape, byteCount: record.bytes)
            }
            let tensor = SafetensorsTensor(name, record.type, record.shape)
            if tensor.isBytes {
                bytes.append(
                    .init(
                        name,
                        .object([
                            .init("type", .string(record.type.rawValue)),
                            .init("shape", .counts(record.shape)),
                        ])))
            }
            return tensor
        }
        let metadata = kept.pairs(of: manifest, bytes)
        return isSingle
            ? SafetensorsLayout(
                file: FilePath(path).lastComponent?.string ?? path, tensors, metadata: metadata)
            : SafetensorsLayout(tensors, shardBytesMax: options.shardBytes, metadata: metadata)
    }

    private func write(
        _ layout: SafetensorsLayout, _ records: [TensorRecord], _ reader: ContentReader,
        _ output: AtomicOutput
    ) throws -> [ExportReport.File] {
        let original = originals(records)
        var written: [ExportReport.File] = []
        var places: [any StateProvider] = []
        for shard in layout.shards {
            let file = try output.create(shard.fileName)
            try file.write(shard.header.encoded, at: 0)
            for entry in shard.header.entries {
                let range =
                    shard.header.dataOffset + entry.range.lowerBound..<shard.header.dataOffset
                    + entry.range.upperBound
                guard let record = original[ByteName(entry.name)] else {
                    preconditionFailure("a layout has the tensors it was made of")
                }
                places.append(
                    TensorState(record.name, try file.place(record.type, record.shape, at: range)))
            }
            let size = shard.header.entries.last?.range.upperBound ?? 0
            written.append(.init(name: shard.fileName, byteCount: shard.header.dataOffset + size))
        }
        let (onProgress, done) = (options.onProgress, Monitor(0))
        try reader.tensors(records, into: CompositeState(children: places)) { bytes in
            let sum = done.withLock { sum in
                sum += bytes
                return sum
            }
            onProgress?(sum, layout.bytes)
        }
        return written
    }

    private func write(_ value: JSONValue, _ name: String, _ output: AtomicOutput) throws
        -> ExportReport.File
    {
        let text = Array((value.safeText + "\n").utf8)
        try output.create(name).write(text, at: 0)
        let own = FilePath(path).lastComponent?.string ?? ""
        return ExportReport.File(name: isSingle ? own + "." + name : name, byteCount: text.count)
    }

    private static func json(_ object: ObjectContent) -> JSONValue {
        let description = object.description(withDigest: true)
        guard object.record.encoding == .bytes else { return description }
        return description.adding([
            .init("base64", .string(Data(object.bytes).base64EncodedString()))
        ])
    }

    private func tensors(
        _ layout: SafetensorsLayout, _ records: [TensorRecord], _ manifest: Manifest
    ) -> [ExportReport.Tensor] {
        var places: [ByteName: (file: String, type: String)] = [:]
        for shard in layout.shards {
            for entry in shard.header.entries {
                places[ByteName(entry.name)] = (shard.fileName, entry.type)
            }
        }
        return records.map { record in
            let name = options.renaming.name(of: record.name)
            guard let place = places[ByteName(name)] else {
                preconditionFailure("a layout has the tensors it was made of")
            }
            return ExportReport.Tensor(
                info: TensorInfo(record, in: manifest), exportedName: name, file: place.file,
                fileType: place.type)
        }
    }
}

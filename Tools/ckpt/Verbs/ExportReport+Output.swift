import CheckpointInterchange
import CheckpointStorage

extension ExportReport {
    /// The report as `--json` prints it (Formats/cli-json.md).
    var json: JSONValue {
        checkpoint.manifest.description.adding([
            .init("format", .string("safetensors")), .init("tensor_bytes", .count(tensorBytes)),
            .init("tensors", .array(tensors.map(\.json))),
            .init("files", .array(files.map(\.json))),
            .init("skipped", .array(skipped.map { .error($0) })),
        ])
    }

    func text(_ verb: String, _ path: String) -> String {
        let objects = objectCount == 0 ? "" : " and \(Output.count(objectCount, "object"))"
        let summary = checkpoint.summary
        let report = "\(verb) \(Output.count(tensors.count, "tensor")) (\(Output.size(tensorBytes)))\(objects) "
            + "of step \(summary.step) (\(Output.short(summary.id))) to \(path): \(Output.count(files.count, "file"))"
        return bytesOnly.map { "\(report)\n\($0)" } ?? report
    }

    /// What was exported as bytes because safetensors does not have its type; nil if nothing was.
    private var bytesOnly: String? {
        let bytes = tensors.filter { $0.fileType == "U8" && $0.info.type != .u8 }
        guard !bytes.isEmpty else { return nil }
        let types = Set(bytes.map(\.info.type.rawValue)).sorted().joined(separator: ", ")
        return "\(Output.count(bytes.count, "tensor")) of a type that safetensors does not have (\(types)): "
            + "exported as bytes (U8), with type and shape in __metadata__"
    }
}

extension ExportReport.File {
    fileprivate var json: JSONValue {
        .object([.init("name", .string(name)), .init("bytes", .count(byteCount))])
    }
}

extension ExportReport.Tensor {
    fileprivate var json: JSONValue {
        .object([
            .init("name", .string(info.name)), .init("exported_name", .string(exportedName)),
            .init("type", .string(info.type.rawValue)), .init("shape", .counts(info.shape)),
            .init("bytes", .count(info.byteCount)), .init("file", .string(file)),
            .init("file_type", .string(fileType)),
        ])
    }
}

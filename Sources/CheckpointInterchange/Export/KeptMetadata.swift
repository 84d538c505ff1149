internal import CheckpointExchange
internal import CheckpointFormat
internal import CheckpointStorage

/// Metadata of safetensors files: kept by an import, and added by an export. Every key of
/// `__metadata__` is exported unchanged; keys of this program begin with `ckpt.`.
struct KeptMetadata {
    private static let prefix = "ckpt."
    private var metadata: [(name: String, value: String)] = []
    private var forms: [ByteName: (type: String, shape: [Int])] = [:]
    /// Members of an index's `metadata`, without the total size.
    private(set) var index: [JSONValue.Member] = []

    init(_ manifest: Manifest, _ reader: ContentReader) throws {
        for record in manifest.objects where record.encoding == .json {
            let name = record.name.split(separator: ".").first.map(String.init) ?? record.name
            let names = [
                SafetensorsReader.metadataName, ForeignObject.typesName,
                SafetensorsReader.indexMetadataName,
            ]
            guard names.contains(name),
                case .object(let members)? = try ObjectContent(record, reader).value
            else { continue }
            switch name {
            case SafetensorsReader.metadataName: addMetadata(members)
            case ForeignObject.typesName: addForms(members)
            default:
                index += members.filter { member in
                    member.key != "total_size"
                        && !index.contains { $0.key.isSameName(as: member.key) }
                }
            }
        }
    }

    private mutating func addMetadata(_ members: [JSONValue.Member]) {
        for member in members
        where !member.key.hasPrefix(Self.prefix)
            && !metadata.contains(where: { $0.name.isSameName(as: member.key) })
        {
            if case .string(let text) = member.value { metadata.append((member.key, text)) }
        }
    }

    private mutating func addForms(_ members: [JSONValue.Member]) {
        for member in members {
            // A value of another form was not written by an import.
            if let form = try? Self.form(member.value) { forms[ByteName(member.key)] = form }
        }
    }

    private static func form(_ value: JSONValue) throws(FormatError) -> (type: String, shape: [Int])
    {
        let fields = try JSONFields(value, "type", offset: 0)
        return (
            try fields.string("dtype"), try fields.counts("shape", atMost: Limits.rankOfTensorMax)
        )
    }

    /// Returns the type and shape that an imported tensor of unknown type has in safetensors; nil
    /// for any other tensor.
    func form(of record: TensorRecord) -> (type: String, shape: [Int])? {
        guard record.type == .u8, record.shape == [record.bytes],
            let form = forms[ByteName(record.name)],
            ElementType(safetensorsName: form.type) == nil
        else { return nil }
        return form
    }

    /// Returns the pairs of `__metadata__`.
    ///
    /// - Parameters:
    ///   - manifest: the checkpoint to export.
    ///   - types: type and shape of each tensor of a type that safetensors does not have.
    func pairs(of manifest: Manifest, _ types: [JSONValue.Member]) -> [(
        name: String, value: String
    )] {
        var pairs = metadata
        // Transformers refuses a file that does not name the framework its tensors are laid out for.
        if !pairs.contains(where: { $0.name == "format" }) { pairs.insert(("format", "pt"), at: 0) }
        var own = [
            ("checkpoint", manifest.id.description), ("run", manifest.run.description),
            ("run_name", manifest.runName),
            ("step", String(manifest.step)),
        ]
        own += manifest.metrics.map { ("metric.\($0.name)", String(describing: $0.value)) }
        pairs += own.map { (Self.prefix + $0.0, $0.1) }
        if !types.isEmpty {
            pairs.append(
                (
                    SafetensorsReader.ownTypesKey,
                    String(decoding: JSONValue.object(types).text, as: UTF8.self)
                ))
        }
        return pairs
    }
}

internal import CheckpointFormat
internal import CheckpointIO
internal import SystemPackage

/// Reader of one safetensors file. `ShardIndex` reads the files that an index names.
package enum SafetensorsReader {
    /// Name of the object that holds `__metadata__`.
    package static let metadataName = "safetensors_metadata"
    /// Name of the object that holds the `metadata` of an index of shards.
    package static let indexMetadataName = "safetensors_index_metadata"
    /// Key of `__metadata__` under which an export keeps the types that safetensors does not have.
    package static let ownTypesKey = "ckpt.types"

    static func read(_ file: ForeignFile) throws(ExchangeError) -> ForeignCheckpoint {
        let header = try header(of: file)
        let own = OwnTypes(header.metadata.first { $0.name == ownTypesKey }?.value)
        var checkpoint = ForeignCheckpoint(.safetensors)
        var unknown: [JSONValue.Member] = []
        for entry in header.entries {
            let range =
                header.dataOffset + entry.range.lowerBound..<header.dataOffset
                + entry.range.upperBound
            var (type, shape) = (ElementType(safetensorsName: entry.type), entry.shape)
            if let known = own.form(of: entry) { (type, shape) = known }
            if type == nil {
                unknown.append(
                    .init(
                        entry.name,
                        .object([
                            .init("dtype", .string(entry.type)), .init("shape", .counts(shape)),
                        ])))
                shape = [range.count]
            }
            checkpoint.tensors.append(
                try ForeignTensor(entry.name, type ?? .u8, shape, in: file.lend(range)))
        }
        if let first = unknown.first {
            checkpoint.notes.append(
                "\(file.path): \(unknown.count) of \(header.entries.count) tensors have unknown element types, such as "
                    + "\(quoted(first.key)); they are imported as bytes, and exported unchanged")
            checkpoint.objects.append(ForeignObject(ForeignObject.typesName, .object(unknown)))
        }
        let members = header.metadata.filter { $0.name != ownTypesKey }.map {
            JSONValue.Member($0.name, .string($0.value))
        }
        if !members.isEmpty {
            checkpoint.objects.append(ForeignObject(metadataName, .object(members)))
        }
        return checkpoint
    }

    /// Types and shapes that an export has noted, because safetensors does not have the types.
    private struct OwnTypes {
        private var forms: [ByteName: (ElementType, [Int])] = [:]

        init(_ text: String?) {
            guard let text else { return }
            // Any other value of the key is not from an export of this program, and is ignored.
            let value = try? JSONParser.parse(Array(text.utf8)[...])
            guard case .object(let members)? = value else { return }
            for member in members {
                // Likewise.
                if let form = try? Self.form(member.value) { forms[ByteName(member.key)] = form }
            }
        }

        private static func form(_ value: JSONValue) throws(FormatError) -> (ElementType, [Int])? {
            let fields = try JSONFields(value, "type", offset: 0)
            let shape = try fields.counts("shape", atMost: Limits.rankOfTensorMax)
            return ElementType(rawValue: try fields.string("type")).map { ($0, shape) }
        }

        func form(of entry: SafetensorsHeader.Entry) -> (ElementType, [Int])? {
            guard let (type, shape) = forms[ByteName(entry.name)],
                TensorShape.byteCount(shape, type) == entry.range.count,
                let written = Optional(SafetensorsTensor(entry.name, type, shape)), written.isBytes,
                written.type == entry.type, written.shape == entry.shape
            else { return nil }
            return (type, shape)
        }
    }

    static func header(of file: ForeignFile) throws(ExchangeError) -> SafetensorsHeader {
        guard file.size > 8 else {
            throw .damage(
                file.path.string, "a file of \(file.size) bytes is too short for safetensors")
        }
        do throws(FormatError) {
            let prefix = try orFormatError(file) { () throws(ExchangeError) in
                try file.read(count: 8, at: 0)
            }
            let count = try SafetensorsHeader.jsonBytes(prefix, fileBytes: file.size)
            let json = try orFormatError(file) { () throws(ExchangeError) in
                try file.read(count: count, at: 8)
            }
            return try SafetensorsHeader(json: json, dataBytes: file.size - 8 - count)
        } catch {
            if error.kind == .unsupported { throw .refused(file.path.string, error.message) }
            throw ExchangeError(
                .damage, file.path.string, error.description,
                remedy: "Copy or download it again")
        }
    }

    private static func orFormatError(
        _ file: ForeignFile, _ body: () throws(ExchangeError) -> [UInt8]
    ) throws(FormatError) -> [UInt8] {
        do throws(ExchangeError) { return try body() } catch { throw .damage(at: 0, error.message) }
    }
}

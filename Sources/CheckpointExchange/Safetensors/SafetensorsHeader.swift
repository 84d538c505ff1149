internal import CheckpointFormat

/// The header of a safetensors file as a value. The file is a little-endian u64 length, JSON of
/// that length, and the tensors' bytes without gaps (github.com/huggingface/safetensors, README,
/// "Format").
package struct SafetensorsHeader: Sendable {
    package struct Entry: Sendable {
        package var name: String
        /// Name of the element type, which may be unknown here.
        package var type: String
        package var shape: [Int]
        /// Byte range of the tensor, counted from the end of the header.
        package var range: Range<Int>
    }

    package var metadata: [(name: String, value: String)]
    /// Entries in the order of their bytes.
    package private(set) var entries: [Entry]
    /// Number of bytes before the first tensor.
    package private(set) var dataOffset: Int

    /// Returns the length of the JSON that the file declares.
    ///
    /// - Parameters:
    ///   - prefix: the first 8 bytes of the file.
    ///   - fileBytes: size of the file in bytes.
    /// - Returns: the length in bytes.
    /// - Throws: `FormatError` if the length exceeds the file or the limit.
    static func jsonBytes(_ prefix: [UInt8], fileBytes: Int) throws(FormatError) -> Int {
        var reader = ByteReader(prefix[...])
        let count: Int
        do throws(FormatError) {
            count = try reader.count(UInt64.self, atMost: fileBytes - 8, "length of the header")
        } catch {
            throw .damage(
                at: 0, "it is not a safetensors file, or it is truncated: \(error.message)")
        }
        guard count <= ExchangeLimits.safetensorsHeaderBytesMax else {
            throw .unsupported(
                at: 0,
                "the header has \(count) bytes, "
                    + "more than \(ExchangeLimits.safetensorsHeaderBytesMax)"
            )
        }
        return count
    }

    /// Parses the header and checks the layout of the tensors.
    ///
    /// - Parameters:
    ///   - json: the header without its length.
    ///   - dataBytes: number of bytes in the file after the header.
    /// - Throws: `FormatError` if the header is damaged, or a type is not supported.
    init(json: [UInt8], dataBytes: Int) throws(FormatError) {
        dataOffset = 8 + json.count
        metadata = []
        entries = []
        try checkValues(json, at: 8)
        guard json.first == UInt8(ascii: "{"),
            case .object(let members) = try JSONParser.parse(json[...], origin: 8)
        else {
            throw .damage(at: 8, "the header is not a JSON object")
        }
        for member in members {
            if member.key == "__metadata__" {
                metadata = try Self.metadata(member.value)
            } else {
                entries.append(try Self.entry(member))
            }
        }
        try checkLayout(dataBytes)
    }

    private static func metadata(_ value: JSONValue) throws(FormatError) -> [(String, String)] {
        if value == .null { return [] }
        guard case .object(let members) = value else {
            throw .damage(at: 8, "__metadata__ is not an object")
        }
        var pairs: [(String, String)] = []
        for member in members {
            guard case .string(let text) = member.value else {
                throw .damage(at: 8, "__metadata__ has a value that is not a string")
            }
            pairs.append((member.key, text))
        }
        return pairs
    }

    private static func entry(_ member: JSONValue.Member) throws(FormatError) -> Entry {
        let fields = try JSONFields(member.value, "tensor \(quoted(member.key))", offset: 8)
        let typeName = try fields.string("dtype")
        let type = ElementType(safetensorsName: typeName)
        let shape = try fields.counts("shape", atMost: ExchangeLimits.jsonValuesMax)
        // The bytes of an unknown type cannot be compared with its shape.
        try checkShape(shape, type ?? .u8, "tensor \(quoted(member.key))")
        let offsets = try fields.counts("data_offsets", atMost: 2)
        guard offsets.count == 2, offsets[0] <= offsets[1] else {
            throw fields.error("data_offsets is not a range")
        }
        if let type, TensorShape.byteCount(shape, type) != offsets[1] - offsets[0] {
            throw fields.error(
                "\(shown(shape)) of \(typeName) is not \(offsets[1] - offsets[0]) bytes")
        }
        return Entry(name: member.key, type: typeName, shape: shape, range: offsets[0]..<offsets[1])
    }

    /// Checks that tensors are adjacent from the first byte to the last: nothing overlaps, and
    /// nothing is hidden between them.
    private mutating func checkLayout(_ dataBytes: Int) throws(FormatError) {
        entries.sort {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        var end = 0
        for entry in entries {
            guard entry.range.lowerBound == end else {
                let what =
                    entry.range.lowerBound < end
                    ? "overlaps the previous one" : "leaves a gap before it"
                throw .damage(
                    at: 8,
                    "tensor \(quoted(entry.name)) \(what): it begins at byte "
                        + "\(entry.range.lowerBound), not at \(end)"
                )
            }
            end = entry.range.upperBound
        }
        guard end <= dataBytes else {
            throw .damage(
                at: 8,
                "the file is truncated: its tensors take \(end) bytes, and the file has \(dataBytes) bytes of data"
            )
        }
        guard end == dataBytes else {
            throw .damage(
                at: 8,
                "its tensors take \(end) bytes, but \(dataBytes - end) more bytes follow the last tensor"
            )
        }
    }

    // MARK: Writing

    /// Creates the header of a file of these tensors. They are ordered as the safetensors library
    /// orders them, so that each begins at a multiple of its element's width.
    ///
    /// - Parameters:
    ///   - tensors: the tensors, in any order.
    ///   - metadata: pairs for `__metadata__`; empty leaves it out.
    package init(of tensors: [SafetensorsTensor], metadata: [(name: String, value: String)]) {
        self.metadata = metadata
        entries = []
        dataOffset = 0
        let sorted = tensors.sorted {
            $0.type == $1.type
                ? $0.name.precedesName($1.name)
                : (SafetensorsType.rank($0.type), $0.type) < (
                    SafetensorsType.rank($1.type), $1.type
                )
        }
        var end = 0
        for tensor in sorted {
            let range = end..<end + tensor.byteCount
            entries.append(
                Entry(name: tensor.name, type: tensor.type, shape: tensor.shape, range: range))
            end = range.upperBound
        }
        dataOffset = encoded.count
    }

    /// The length and the JSON, padded with spaces to a multiple of 8 bytes.
    package var encoded: [UInt8] {
        var members = entries.map { entry in
            JSONValue.Member(
                entry.name,
                .object([
                    .init("dtype", .string(entry.type)), .init("shape", .counts(entry.shape)),
                    .init(
                        "data_offsets", .counts([entry.range.lowerBound, entry.range.upperBound])),
                ]))
        }
        if !metadata.isEmpty {
            members.insert(
                .init("__metadata__", .object(metadata.map { .init($0.name, .string($0.value)) })),
                at: 0)
        }
        var json = JSONValue.object(members).text
        json += [UInt8](repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
        return (0..<8).map { UInt8(truncatingIfNeeded: json.count >> ($0 * 8)) } + json
    }
}

/// Refuses JSON of too many values before it is parsed. Commas are counted: each value except the
/// first of its container follows one.
func checkValues(_ json: [UInt8], at offset: Int) throws(FormatError) {
    let commas = json.count { $0 == UInt8(ascii: ",") }
    guard commas < ExchangeLimits.jsonValuesMax else {
        throw .unsupported(
            at: offset,
            "its JSON has more than \(ExchangeLimits.jsonValuesMax) values (\(commas) commas)")
    }
}

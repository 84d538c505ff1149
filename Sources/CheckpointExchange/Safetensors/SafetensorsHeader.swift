package import CheckpointFormat

/// The header of a safetensors file as a value: a little-endian u64 length, JSON of that length, and the tensors' bytes without a gap
/// (github.com/huggingface/safetensors, README, "Format").
package struct SafetensorsHeader: Sendable {
    package struct Entry: Sendable {
        package var name: String
        package var type: ElementType
        package var shape: [Int]
        /// Bytes after the header.
        package var range: Range<Int>
    }

    package var metadata: [(name: String, value: String)]
    /// In the order of their bytes.
    package private(set) var entries: [Entry]
    /// Bytes before the first tensor.
    package private(set) var dataOffset: Int

    /// The length that a file says its JSON has.
    static func jsonBytes(_ prefix: [UInt8], fileBytes: Int) throws(FormatError) -> Int {
        var reader = ByteReader(prefix[...])
        let count = try reader.count(UInt64.self, atMost: fileBytes - 8, "length of the header")
        guard count <= ExchangeLimits.safetensorsHeaderBytesMax else { throw .unsupported(at: 0, "a header of \(count) bytes") }
        return count
    }

    /// - Parameters:
    ///   - json: the header without its length.
    ///   - dataBytes: bytes of the file behind it.
    init(json: [UInt8], dataBytes: Int) throws(FormatError) {
        dataOffset = 8 + json.count
        metadata = []
        entries = []
        try checkValues(json, at: 8)
        guard json.first == UInt8(ascii: "{"), case .object(let members) = try JSONParser.parse(json[...], origin: 8) else {
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
        guard case .object(let members) = value else { throw .damage(at: 8, "__metadata__ is not an object") }
        var pairs: [(String, String)] = []
        for member in members {
            guard case .string(let text) = member.value else { throw .damage(at: 8, "__metadata__ holds more than strings") }
            pairs.append((member.key, text))
        }
        return pairs
    }

    private static func entry(_ member: JSONValue.Member) throws(FormatError) -> Entry {
        let fields = try JSONFields(member.value, "tensor \(quoted(member.key))", offset: 8)
        let typeName = try fields.string("dtype")
        guard let type = ElementType(safetensorsName: typeName) else {
            throw .unsupported(at: 8, "tensor \(quoted(member.key)): element type \(quoted(typeName)) is not known here")
        }
        let shape = try fields.counts("shape", atMost: ExchangeLimits.jsonValuesMax)
        try checkShape(shape, type, "tensor \(quoted(member.key))")
        let offsets = try fields.counts("data_offsets", atMost: 2)
        guard offsets.count == 2, offsets[0] <= offsets[1] else { throw fields.error("data_offsets is no range") }
        guard TensorShape.byteCount(shape, type) == offsets[1] - offsets[0] else {
            throw fields.error("\(shown(shape)) of \(typeName) is not \(offsets[1] - offsets[0]) bytes")
        }
        return Entry(name: member.key, type: type, shape: shape, range: offsets[0]..<offsets[1])
    }

    /// Tensors follow each other from the first byte to the last: nothing overlaps, and nothing is hidden between them.
    private mutating func checkLayout(_ dataBytes: Int) throws(FormatError) {
        entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        var end = 0
        for entry in entries {
            guard entry.range.lowerBound == end else {
                let what = entry.range.lowerBound < end ? "overlaps the one before" : "leaves a hole before it"
                throw .damage(at: 8, "tensor \(quoted(entry.name)) \(what): it begins at \(entry.range.lowerBound), not at \(end)")
            }
            end = entry.range.upperBound
        }
        guard end == dataBytes else { throw .damage(at: 8, "tensors take \(end) bytes, and the file has \(dataBytes) for them") }
    }

    // MARK: Writing

    /// The header of a file of these tensors, ordered as the library does, so that each lies at a multiple of its element's width.
    package init(of tensors: [(name: String, type: ElementType, shape: [Int])], metadata: [(name: String, value: String)]) {
        self.metadata = metadata
        entries = []
        dataOffset = 0
        let sorted = tensors.sorted {
            $0.type == $1.type
                ? $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) : $0.type.safetensorsRank < $1.type.safetensorsRank
        }
        var end = 0
        for tensor in sorted {
            let bytes = TensorShape.byteCount(tensor.shape, tensor.type) ?? 0
            entries.append(Entry(name: tensor.name, type: tensor.type, shape: tensor.shape, range: end..<end + bytes))
            end += bytes
        }
        dataOffset = encoded.count
    }

    /// Length and JSON, padded with spaces to a multiple of 8 bytes.
    package var encoded: [UInt8] {
        var members = entries.map { entry in
            JSONValue.Member(
                entry.name,
                .object([
                    .init("dtype", .string(entry.type.safetensorsName)), .init("shape", .counts(entry.shape)),
                    .init("data_offsets", .counts([entry.range.lowerBound, entry.range.upperBound])),
                ]))
        }
        if !metadata.isEmpty {
            members.insert(.init("__metadata__", .object(metadata.map { .init($0.name, .string($0.value)) })), at: 0)
        }
        var json = JSONValue.object(members).text
        json += [UInt8](repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
        return (0..<8).map { UInt8(truncatingIfNeeded: json.count >> ($0 * 8)) } + json
    }
}

/// Refuses JSON of too many values before it is parsed: each but the first of its list stands behind a comma.
func checkValues(_ json: [UInt8], at offset: Int) throws(FormatError) {
    let commas = json.count { $0 == UInt8(ascii: ",") }
    guard commas < ExchangeLimits.jsonValuesMax else { throw .unsupported(at: offset, "JSON with \(commas) commas") }
}

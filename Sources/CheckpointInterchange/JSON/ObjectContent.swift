internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointStorage

/// An object that has been read.
package struct ObjectContent {
    package let record: ObjectRecord
    package let bytes: [UInt8]
    /// Its value, if it is JSON that this program can print without changing a number.
    package let value: JSONValue?

    package init(
        _ record: ObjectRecord, _ reader: ContentReader
    ) throws(CheckpointError) {
        self.record = record
        bytes = try reader.object(record)
        // Text that the parser refuses, such as an integer beyond 64 bits, has no value.
        value = record.encoding == .json ? try? JSONParser.parse(bytes[...]) : nil
    }

    package var digest: Hash128 { Hashing.digest(bytes[...]) }
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    package func description(withDigest: Bool) -> JSONValue {
        .object(
            [
                .init("name", .string(record.name)), .init("role", .string(record.role.rawValue)),
                .init("encoding", .string(record.encoding.rawValue)), .init("bytes", .count(record.bytes)),
            ] + (withDigest ? [.init("digest", .hex(digest))] : []) + valueMembers)
    }

    /// JSON with integers beyond 64 bits, which the parser refuses, is printed unchanged.
    private var valueMembers: [JSONValue.Member] {
        guard record.encoding == .json else { return [] }
        return [value.map { .init("value", $0) } ?? .init("value_text", .string(text))]
    }
}

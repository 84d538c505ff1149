/// Reads little-endian fields from bytes in memory, one after the other. Every read is bounds-checked, and every
/// error names the offset in the file.
package struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    /// Offset in the file of `bytes.startIndex`.
    private let origin: Int

    package init(_ bytes: ArraySlice<UInt8>, origin: Int = 0) {
        self.bytes = bytes
        self.position = bytes.startIndex
        self.origin = origin
    }

    /// Offset in the file of the next byte.
    package var offset: Int { origin + position - bytes.startIndex }
    package var remaining: Int { bytes.endIndex - position }

    package mutating func take(_ count: Int) throws(FormatError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else {
            throw .damage(at: origin + bytes.count, "truncated: \(count) bytes wanted at offset \(offset), \(remaining) left")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }

    package mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_: T.Type = T.self) throws(FormatError) -> T {
        var value: T = 0
        for (index, byte) in try take(T.bitWidth / 8).enumerated() { value |= T(byte) << T(8 * index) }
        return value
    }

    /// An integer that must be at most `limit`; a negative limit, the last row of an empty table, lets nothing through.
    package mutating func count<T: FixedWidthInteger & UnsignedInteger>(
        _: T.Type, atMost limit: Int, _ field: String
    ) throws(FormatError) -> Int {
        let start = offset
        let value = try integer(T.self)
        guard let limit = UInt64(exactly: limit), value <= limit else {
            throw .damage(at: start, "\(field) is \(value), more than \(limit)")
        }
        return Int(value)
    }

    /// 16 bytes, first byte most significant.
    package mutating func identifier<I: Identifier>(_: I.Type = I.self) throws(FormatError) -> I {
        I(rawValue: try take(16).reduce(0) { $0 << 8 | UInt128($1) })
    }

    package mutating func expect(magic: StaticString) throws(FormatError) {
        let start = offset
        let found = try take(magic.utf8CodeUnitCount)
        guard found.elementsEqual(magic.description.utf8) else { throw .damage(at: start, "magic is not \(magic)") }
    }

    package mutating func expectZeros(_ count: Int, _ field: String) throws(FormatError) {
        let start = offset
        let found = try take(count)
        if let bad = found.firstIndex(where: { $0 != 0 }) {
            throw .damage(at: start + bad - found.startIndex, "\(field) is not zero")
        }
    }

    /// A version between 1 and `known`.
    package mutating func version(upTo known: UInt16, of structure: String) throws(FormatError) -> UInt16 {
        let start = offset
        let version = try integer(UInt16.self)
        guard version > 0 else { throw .damage(at: start, "\(structure) version is 0") }
        guard version <= known else {
            throw .unsupported(at: start, "\(structure) version \(version); this software knows \(known) and below")
        }
        return version
    }
}

/// A cursor that reads little-endian fields from bytes in memory. Every read is bounds-checked, and
/// every error names the offset in the file.
package struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    /// Offset in the file of `bytes.startIndex`, in bytes.
    private let origin: Int

    /// Creates a reader at the first of `bytes`.
    ///
    /// - Parameters:
    ///   - bytes: The part of the file to read.
    ///   - origin: Offset in the file of the first of `bytes`; used in error messages only.
    package init(_ bytes: ArraySlice<UInt8>, origin: Int = 0) {
        self.bytes = bytes
        self.position = bytes.startIndex
        self.origin = origin
    }

    /// Offset in the file of the next byte.
    package var offset: Int { origin + position - bytes.startIndex }
    /// Number of bytes not read yet.
    package var remaining: Int { bytes.endIndex - position }

    /// Reads `count` bytes and returns them as a slice, without a copy.
    ///
    /// - Parameter count: Number of bytes.
    /// - Returns: A slice of the bytes that the reader was created with.
    /// - Throws: Damage at the end of the bytes if fewer than `count` remain.
    package mutating func take(_ count: Int) throws(FormatError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else {
            throw .damage(at: origin + bytes.count, "truncated: \(count) bytes needed at offset \(offset), \(remaining) left")
        }
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// Reads an unsigned integer, least significant byte first.
    ///
    /// - Returns: The value.
    /// - Throws: Damage if fewer bytes remain than the type has.
    package mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_: T.Type = T.self) throws(FormatError) -> T {
        var value: T = 0
        for (index, byte) in try take(T.bitWidth / 8).enumerated() { value |= T(byte) << T(8 * index) }
        return value
    }

    /// Reads an unsigned integer that must be at most `limit`.
    ///
    /// - Parameters:
    ///   - limit: The largest valid value. A negative limit (the last row of an empty table)
    ///     refuses every value.
    ///   - field: Name of the field, for the error message.
    /// - Returns: The value.
    /// - Throws: Damage at the field if the value is above `limit`, or if too few bytes remain.
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

    /// Reads a 16-byte identifier, most significant byte first.
    ///
    /// - Returns: The identifier.
    /// - Throws: Damage if fewer than 16 bytes remain.
    package mutating func identifier<I: Identifier>(_: I.Type = I.self) throws(FormatError) -> I {
        I(rawValue: try take(16).reduce(0) { $0 << 8 | UInt128($1) })
    }

    /// Reads the magic number of a file and compares it with `magic`.
    ///
    /// - Parameter magic: The expected bytes, in ASCII.
    /// - Throws: Damage if the bytes differ or too few remain.
    package mutating func expect(magic: StaticString) throws(FormatError) {
        let start = offset
        let found = try take(magic.utf8CodeUnitCount)
        guard found.elementsEqual(magic.description.utf8) else { throw .damage(at: start, "the magic number is not \(magic)") }
    }

    /// Reads `count` reserved or padding bytes, all of which must be zero.
    ///
    /// - Parameters:
    ///   - count: Number of bytes.
    ///   - field: Name of the field, for the error message.
    /// - Throws: Damage at the first byte that is not zero, or if too few bytes remain.
    package mutating func expectZeros(_ count: Int, _ field: String) throws(FormatError) {
        let start = offset
        let found = try take(count)
        if let bad = found.firstIndex(where: { $0 != 0 }) {
            throw .damage(at: start + bad - found.startIndex, "\(field) is not zero")
        }
    }

    /// Reads a format version of two bytes.
    ///
    /// - Parameters:
    ///   - known: The newest version that this software reads.
    ///   - structure: Name of the structure, for the error message.
    /// - Returns: A version between 1 and `known`.
    /// - Throws: Damage if the version is 0; unsupported if it is above `known`.
    package mutating func version(upTo known: UInt16, of structure: String) throws(FormatError) -> UInt16 {
        let start = offset
        let version = try integer(UInt16.self)
        guard version > 0 else { throw .damage(at: start, "\(structure) version is 0") }
        guard version <= known else {
            throw .unsupported(at: start, "\(structure) version \(version); this ckpt reads versions up to \(known)")
        }
        return version
    }
}

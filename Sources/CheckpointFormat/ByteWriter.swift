/// A buffer to which little-endian fields are appended; the counterpart of `ByteReader`.
package struct ByteWriter {
    package private(set) var bytes: [UInt8]

    /// Creates an empty writer.
    ///
    /// - Parameter capacity: Number of bytes to reserve memory for.
    package init(capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Appends `value`, least significant byte first.
    package mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_ value: T) {
        for index in 0..<T.bitWidth / 8 { bytes.append(UInt8(truncatingIfNeeded: value >> T(8 * index))) }
    }

    /// Appends `value` as a `T`. A value that does not fit is a bug and traps.
    package mutating func count<T: FixedWidthInteger & UnsignedInteger>(_: T.Type, _ value: Int) {
        integer(T(value))
    }

    /// Appends the 16 bytes of an identifier, most significant byte first.
    package mutating func identifier(_ value: some Identifier) {
        for shift in stride(from: 120, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value.rawValue >> UInt128(shift)))
        }
    }

    package mutating func magic(_ magic: StaticString) { bytes.append(contentsOf: magic.description.utf8) }
    package mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }
    package mutating func zeros(_ count: Int) {
        // Unlike a repeated element, an array is appended in one piece.
        bytes.append(contentsOf: [UInt8](repeating: 0, count: count))
    }

    /// Appends zeros up to the next multiple of `alignment` bytes.
    package mutating func pad(to alignment: Int) {
        zeros((alignment - bytes.count % alignment) % alignment)
    }
}

/// Computes the hash128 of bytes (XXH3-128; Formats/README.md, Conventions). Callers pass it in,
/// because the format layer has no hash function.
package typealias Digest = (ArraySlice<UInt8>) -> Hash128

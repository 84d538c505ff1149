/// Appends little-endian fields to bytes in memory; the mirror of `ByteReader`.
package struct ByteWriter {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_ value: T) {
        for index in 0..<T.bitWidth / 8 { bytes.append(UInt8(truncatingIfNeeded: value >> T(8 * index))) }
    }

    /// Writes `value` as a `T`; a value that does not fit is a bug.
    package mutating func count<T: FixedWidthInteger & UnsignedInteger>(_: T.Type, _ value: Int) {
        integer(T(value))
    }

    package mutating func identifier(_ value: some Identifier) {
        for shift in stride(from: 120, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value.rawValue >> UInt128(shift)))
        }
    }

    package mutating func magic(_ magic: StaticString) { bytes.append(contentsOf: magic.description.utf8) }
    package mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }
    package mutating func zeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    /// Zeros up to a multiple of `alignment`.
    package mutating func pad(to alignment: Int) {
        zeros((alignment - bytes.count % alignment) % alignment)
    }
}

/// Computes the hash128 of bytes. The format layer is given one: it has no hash function of its own.
package typealias Digest = (ArraySlice<UInt8>) -> Hash128

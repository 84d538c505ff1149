internal import CKernels
package import CheckpointFormat

/// XXH3 with seed 0, over memory (Formats/README.md, Conventions).
package enum Hashing {
    /// Returns the XXH3-128 hash.
    package static func hash128(_ bytes: UnsafeRawBufferPointer) -> Hash128 {
        unsafe value(ck_hash128_of(bytes.baseAddress, bytes.count))
    }

    /// Returns the XXH3-64 hash.
    package static func hash64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        unsafe ck_hash64_of(bytes.baseAddress, bytes.count)
    }

    /// Derives the 64-bit hash from the 128-bit hash of the same bytes.
    ///
    /// For more than 240 bytes, XXH3-64 is the low half of XXH3-128: both end in the same merge of
    /// the same lanes (xxHash specification, "XXH3 for large inputs").
    ///
    /// - Parameters:
    ///   - hash: The XXH3-128 hash of the bytes.
    ///   - byteCount: Number of bytes.
    /// - Returns: The XXH3-64 hash; nil for 240 bytes or fewer, where it cannot be derived.
    package static func hash64(from hash: Hash128, byteCount: Int) -> UInt64? {
        byteCount > 240 ? UInt64(truncatingIfNeeded: hash.rawValue) : nil
    }

    /// Copies bytes and hashes the copy in one pass over memory.
    ///
    /// - Parameters:
    ///   - source: The bytes to copy.
    ///   - destination: At least as much memory, which does not overlap `source`. Its start is
    ///     overwritten.
    /// - Returns: The XXH3-128 hash of the copy.
    package static func copyAndHash128(
        from source: UnsafeRawBufferPointer, to destination: UnsafeMutableRawBufferPointer
    ) -> Hash128 {
        precondition(source.count <= destination.count)
        guard let to = destination.baseAddress, let from = source.baseAddress else {
            return unsafe hash128(source)
        }
        return unsafe value(ck_copy_and_hash128(to, from, source.count))
    }

    /// Returns the XXH3-128 hash of an array slice; the `Digest` of the format layer.
    package static func digest(_ bytes: ArraySlice<UInt8>) -> Hash128 {
        unsafe bytes.withUnsafeBytes { unsafe hash128($0) }
    }

    /// Returns the index of the first byte that is not zero, or nil if there is none.
    package static func firstNonzero(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let index = unsafe ck_first_nonzero(bytes.baseAddress, bytes.count)
        return index == bytes.count ? nil : index
    }

    static func value(_ hash: ck_hash128) -> Hash128 {
        Hash128(rawValue: UInt128(hash.high) << 64 | UInt128(hash.low))
    }
}

internal import CKernels
package import CheckpointFormat

/// XXH3 with seed 0 over memory (Formats/README.md, Conventions).
package enum Hashing {
    package static func hash128(_ bytes: UnsafeRawBufferPointer) -> Hash128 {
        unsafe value(ck_hash128_of(bytes.baseAddress, bytes.count))
    }

    package static func hash64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        unsafe ck_hash64_of(bytes.baseAddress, bytes.count)
    }

    /// The 64-bit hash of bytes whose 128-bit hash is known, or nil if it cannot be told. Of more than 240 bytes, XXH3-64 is the low
    /// half of XXH3-128: both end in the same merge of the same lanes (xxHash specification, "XXH3 for large inputs").
    package static func hash64(from hash: Hash128, byteCount: Int) -> UInt64? {
        byteCount > 240 ? UInt64(truncatingIfNeeded: hash.rawValue) : nil
    }

    /// Copies `source` to the start of `destination` and hashes the copy, in one pass over memory.
    package static func copyAndHash128(
        from source: UnsafeRawBufferPointer, to destination: UnsafeMutableRawBufferPointer
    ) -> Hash128 {
        precondition(source.count <= destination.count)
        guard let to = destination.baseAddress, let from = source.baseAddress else {
            return unsafe hash128(source)
        }
        return unsafe value(ck_copy_and_hash128(to, from, source.count))
    }

    /// The format layer's `Digest`.
    package static func digest(_ bytes: ArraySlice<UInt8>) -> Hash128 {
        unsafe bytes.withUnsafeBytes { unsafe hash128($0) }
    }

    /// Index of the first byte that is not zero, or nil.
    package static func firstNonzero(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let index = unsafe ck_first_nonzero(bytes.baseAddress, bytes.count)
        return index == bytes.count ? nil : index
    }

    fileprivate static func value(_ hash: ck_hash128) -> Hash128 {
        Hash128(rawValue: UInt128(hash.high) << 64 | UInt128(hash.low))
    }
}

/// A running XXH3-128, for bytes that come in parts.
@safe
package struct HashStream: ~Copyable {
    private let stream: OpaquePointer

    package init() { unsafe stream = ck_hash_stream_create() }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        unsafe ck_hash_stream_append(stream, bytes.baseAddress, bytes.count)
    }

    package mutating func append(_ region: MemoryRegion) { unsafe append(region.bytes) }

    package var value: Hash128 { unsafe Hashing.value(ck_hash_stream_value(stream)) }

    deinit { unsafe ck_hash_stream_destroy(stream) }
}

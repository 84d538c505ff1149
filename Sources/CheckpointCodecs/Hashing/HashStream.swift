internal import CKernels
package import CheckpointFormat

/// An incremental XXH3-128 hash, for bytes that arrive in parts.
@safe
package struct HashStream: ~Copyable {
    private let stream: OpaquePointer

    package init() { unsafe stream = ck_hash_stream_create() }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        unsafe ck_hash_stream_append(stream, bytes.baseAddress, bytes.count)
    }

    package mutating func append(_ region: MemoryRegion) { unsafe append(region.bytes) }

    /// The hash of all bytes appended so far.
    package var value: Hash128 { unsafe Hashing.value(ck_hash_stream_value(stream)) }

    deinit { unsafe ck_hash_stream_destroy(stream) }
}

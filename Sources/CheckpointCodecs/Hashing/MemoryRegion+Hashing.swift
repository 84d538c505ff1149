package import CheckpointFormat

extension MemoryRegion {
    package var hash128: Hash128 { unsafe Hashing.hash128(bytes) }
    package var hash64: UInt64 { unsafe Hashing.hash64(bytes) }
    package var firstNonzero: Int? { unsafe Hashing.firstNonzero(bytes) }
}

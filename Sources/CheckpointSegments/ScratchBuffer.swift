package import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO

/// Memory that grows to the largest request and is then reused. Use it on one thread at a time.
package struct ScratchBuffer: ~Copyable {
    private var buffer: AlignedBuffer?

    package init() {}

    /// Returns the memory; its earlier content may be lost.
    ///
    /// - Parameter bytes: Minimum size in bytes.
    /// - Returns: A region of at least `bytes` bytes, valid while it is referenced.
    /// - Throws: `OutOfMemory` if the system refuses the mapping.
    package mutating func region(atLeast bytes: Int) throws(OutOfMemory) -> MemoryRegion {
        if let buffer, buffer.count >= bytes { return buffer.region }
        let grown = try AlignedBuffer(
            count: roundedUpToPage(max(bytes, 1)), hugePages: bytes >= 2 << 20)
        buffer = grown
        return grown.region
    }
}

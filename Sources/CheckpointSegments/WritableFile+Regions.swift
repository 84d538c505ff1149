package import CheckpointCodecs
package import CheckpointIO

extension WritableFile {
    /// Writes the bytes of a memory region.
    ///
    /// - Parameters:
    ///   - region: The memory.
    ///   - offset: Offset in the file, in bytes.
    /// - Throws: The error of the system call.
    package func write(_ region: MemoryRegion, at offset: Int) throws(FileSystemError) { unsafe try write(region.bytes, at: offset) }
}

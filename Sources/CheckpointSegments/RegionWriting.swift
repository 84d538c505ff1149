package import CheckpointCodecs
package import CheckpointIO

extension WritableFile {
    /// Writes a region of memory as it is.
    package func write(_ region: MemoryRegion, at offset: Int) throws(FileSystemError) { unsafe try write(region.bytes, at: offset) }
}

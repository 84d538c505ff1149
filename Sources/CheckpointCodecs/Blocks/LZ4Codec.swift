internal import CLZ4
package import CheckpointFormat

/// Codec 1: one LZ4 block, encoded and decoded by the system's liblz4.
package struct LZ4Codec: BlockCodec {
    package init() {}

    package var identifier: CodecIdentifier { .lz4 }

    package func encodedBytesMax(_ rawBytes: Int) -> Int { rawBytes + rawBytes / 255 + 16 }

    package func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int? {
        guard let from = raw.baseAddress, let to = stored.baseAddress else { return nil }
        let written = unsafe LZ4_compress_default(
            from.assumingMemoryBound(to: CChar.self), to.assumingMemoryBound(to: CChar.self), Int32(raw.count),
            Int32(stored.count))
        return written > 0 ? Int(written) : nil
    }

    package func decode(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard let from = stored.baseAddress, let to = raw.baseAddress else {
            throw CodecError(.lz4, "the block is empty")
        }
        let written = unsafe LZ4_decompress_safe(
            from.assumingMemoryBound(to: CChar.self), to.assumingMemoryBound(to: CChar.self), Int32(stored.count),
            Int32(raw.count))
        guard written == raw.count else {
            throw CodecError(.lz4, written < 0 ? "the block is malformed" : "the block decodes to \(written) bytes, not \(raw.count)")
        }
    }
}

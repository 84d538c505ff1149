package import CheckpointFormat

/// Codec 0: stores bytes unchanged.
package struct RawCodec: BlockCodec {
    package init() {}

    package var identifier: CodecIdentifier { .raw }
    package func encodedBytesMax(_ rawBytes: Int) -> Int { rawBytes }

    package func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int? {
        guard raw.count <= stored.count else { return nil }
        unsafe stored.copyMemory(from: raw)
        return raw.count
    }

    package func decode(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard stored.count == raw.count else {
            throw CodecError(.raw, "the raw block has \(stored.count) stored bytes, not \(raw.count)")
        }
        unsafe raw.copyMemory(from: stored)
    }
}

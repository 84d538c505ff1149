internal import CheckpointFormat

/// The decoder of deltas and casts without a base; it always fails.
struct BaselessCodec: BlockCodec {
    let identifier: CodecIdentifier

    func encodedBytesMax(_ rawBytes: Int) -> Int { SubBlocks.encodedBytesMax(rawBytes) }

    func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int? { nil }

    func decode(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws(CodecError) {
        throw CodecError(identifier, "the block needs a base, and has none")
    }
}

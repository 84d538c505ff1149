internal import CheckpointFormat

/// Stores bytes as what they differ by from a base of the same length (Formats/codecs.md, codec 4). Where the base is of no use a
/// sub-block does without, so a delta is never much larger than planes alone.
package struct DeltaCodec: Sendable {
    package init() {}

    package func encodedBytesMax(_ rawBytes: Int) -> Int { SubBlocks.encodedBytesMax(rawBytes) }

    /// - Parameters:
    ///   - base: as long as `raw`.
    ///   - runs: what the bytes are, from the first to the last.
    /// - Returns: the number of bytes written, or nil if they do not fit.
    package func encode(
        _ raw: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer, runs: [ElementRun], effort: PlaneEffort,
        into stored: UnsafeMutableRawBufferPointer
    ) -> Int? {
        precondition(base.count == raw.count, "a delta's base is as long as what is encoded")
        return unsafe SubBlocks.encode(raw, base: base, SubBlockSlices(runs, isThorough: effort == .max), effort, memory: nil, into: stored)
    }

    /// Decodes all of `stored` into exactly `raw.count` bytes.
    /// - Parameter base: the raw bytes that the block was encoded against.
    package func decode(
        _ stored: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard base.count == raw.count else {
            throw CodecError(.delta, "the base has \(base.count) bytes, the block \(raw.count)")
        }
        unsafe try SubBlockDecoder.decode(.delta, stored, base: base, into: raw)
    }
}

/// Stands for codecs whose blocks are made of another block, where that one is not at hand.
struct BaselessCodec: BlockCodec {
    let identifier: CodecIdentifier

    func encodedBytesMax(_ rawBytes: Int) -> Int { SubBlocks.encodedBytesMax(rawBytes) }

    func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int? { nil }

    func decode(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws(CodecError) {
        throw CodecError(identifier, "a block that is made of its base, and no base")
    }
}

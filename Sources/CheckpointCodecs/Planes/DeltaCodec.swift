internal import CheckpointFormat

/// Codec 4: stores bytes as the difference from a base of the same length (Formats/codecs.md, codec
/// 4). A sub-block for which the base does not help is stored without it, so a delta is never much
/// larger than byte planes alone.
package struct DeltaCodec: Sendable {
    package init() {}

    package func encodedBytesMax(_ rawBytes: Int) -> Int { SubBlocks.encodedBytesMax(rawBytes) }

    /// Encodes a delta.
    ///
    /// - Parameters:
    ///   - raw: The bytes to encode.
    ///   - base: The base, of the same length as `raw`.
    ///   - runs: The types of all bytes of `raw`, in order.
    ///   - effort: The effort to spend.
    ///   - stored: Memory for the result.
    /// - Returns: Number of bytes written; nil if they do not fit or the system refuses memory.
    package func encode(
        _ raw: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer, runs: [ElementRun], effort: PlaneEffort,
        into stored: UnsafeMutableRawBufferPointer
    ) -> Int? {
        precondition(base.count == raw.count, "a delta's base is as long as what is encoded")
        return unsafe SubBlocks.encode(raw, base: base, SubBlockSlices(runs, isThorough: effort == .max), effort, memory: nil, into: stored)
    }

    /// Decodes a delta.
    ///
    /// - Parameters:
    ///   - stored: The encoded bytes; all of them are used.
    ///   - base: The raw bytes that the block was encoded against.
    ///   - raw: Memory for the result; exactly as large as it.
    /// - Throws: `CodecError` if the base has another length, or if `stored` does not decode to
    ///   exactly `raw.count` bytes.
    package func decode(
        _ stored: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard base.count == raw.count else {
            throw CodecError(.delta, "the base has \(base.count) bytes, the block \(raw.count)")
        }
        unsafe try SubBlockDecoder.decode(.delta, stored, base: base, into: raw)
    }
}

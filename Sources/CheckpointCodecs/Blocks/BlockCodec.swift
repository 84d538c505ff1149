package import CheckpointFormat

/// An encoding of a block's bytes (Formats/codecs.md). Encoders and decoders write into the
/// caller's memory and never past its end. Several threads may use a codec at the same time.
package protocol BlockCodec: Sendable {
    var identifier: CodecIdentifier { get }

    /// Returns an upper bound for the result of `encode`, in bytes.
    ///
    /// - Parameter rawBytes: Number of bytes to encode.
    func encodedBytesMax(_ rawBytes: Int) -> Int

    /// Encodes a block.
    ///
    /// - Parameters:
    ///   - raw: The bytes to encode.
    ///   - stored: Memory for the result.
    /// - Returns: Number of bytes written; nil if they do not fit.
    func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int?

    /// Decodes a block.
    ///
    /// - Parameters:
    ///   - stored: The encoded bytes; all of them are used.
    ///   - raw: Memory for the result; exactly as large as it.
    /// - Throws: `CodecError` if `stored` does not decode to exactly `raw.count` bytes.
    func decode(_ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer) throws(CodecError)

    /// Allocates the memory that encoding needs, so that `encode` allocates nothing later.
    ///
    /// - Parameters:
    ///   - threads: Number of threads that will encode at the same time.
    ///   - rawBytes: Size of the blocks in bytes.
    func prepareToEncode(threads: Int, rawBytes: Int)
}

extension BlockCodec {
    package func prepareToEncode(threads: Int, rawBytes: Int) {}
}

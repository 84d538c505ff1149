internal import CZstd
package import CheckpointFormat

/// One Zstandard frame, through the system's libzstd.
package struct ZstdCodec: BlockCodec {
    package let level: Int

    /// - Parameter level: 1 (fast) to 19 (small).
    package init(level: Int) { self.level = level }

    package var identifier: CodecIdentifier { .zstd }

    package func encodedBytesMax(_ rawBytes: Int) -> Int { Int(ZSTD_compressBound(rawBytes)) }

    package func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int? {
        let written = unsafe ZSTD_compress(
            stored.baseAddress, stored.count, raw.baseAddress, raw.count, Int32(level))
        return ZSTD_isError(written) == 0 ? Int(written) : nil
    }

    package func decode(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        // One frame and nothing behind it: ZSTD_decompress alone would also take several frames, or skippable ones.
        let frame = unsafe ZSTD_findFrameCompressedSize(stored.baseAddress, stored.count)
        guard ZSTD_isError(frame) == 0, frame == stored.count else {
            throw CodecError(.zstd, "not exactly one frame")
        }
        let written = unsafe ZSTD_decompress(raw.baseAddress, raw.count, stored.baseAddress, stored.count)
        guard ZSTD_isError(written) == 0 else { throw unsafe CodecError(.zstd, String(cString: ZSTD_getErrorName(written))) }
        guard written == raw.count else {
            throw CodecError(.zstd, "\(written) bytes decoded instead of \(raw.count)")
        }
    }
}

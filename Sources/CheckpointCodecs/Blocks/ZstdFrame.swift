internal import CZstd
internal import CheckpointFormat

/// Decoder of the Zstandard frames in codecs 2, 3 and 4 (Formats/codecs.md).
enum ZstdFrame {
    /// Decodes exactly one frame into exactly `raw.count` bytes.
    ///
    /// - Parameters:
    ///   - stored: The frame.
    ///   - raw: Memory for the result.
    ///   - context: A decompression context that no other thread uses.
    /// - Returns: Description of the error; nil if there is none.
    static func decode(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer,
        with context: OpaquePointer
    ) -> String? {
        if let fault = unsafe headerFault(stored) { return fault }
        // The format allows one frame and nothing after it. libzstd alone would also accept several
        // frames and skippable frames.
        let frame = unsafe ZSTD_findFrameCompressedSize(stored.baseAddress, stored.count)
        guard ZSTD_isError(frame) == 0, frame == stored.count else {
            return "the block is not exactly one zstd frame"
        }
        let written = unsafe ZSTD_decompressDCtx(
            context, raw.baseAddress, raw.count, stored.baseAddress, stored.count)
        guard ZSTD_isError(written) == 0 else {
            return unsafe String(cString: ZSTD_getErrorName(written))
        }
        return written == raw.count
            ? nil : "the block decodes to \(written) bytes, not \(raw.count)"
    }

    /// Returns an error for a header that the format forbids and libzstd would accept: skippable
    /// frames, and windows larger than a block.
    private static func headerFault(_ stored: UnsafeRawBufferPointer) -> String? {
        guard stored.count >= 6, unsafe stored.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) else {
            return "the block is not a zstd frame"
        }
        // RFC 8878, 3.1.1.1.1 and 3.1.1.1.2. The window of a single-segment frame is its content.
        let (descriptor, window) = unsafe (stored[4], stored[5])
        guard descriptor & 0x20 == 0 else { return nil }
        let base = 1 << (10 + Int(window >> 3))
        guard base + base / 8 * Int(window & 7) <= Limits.blockBytesMax else {
            return "its window is larger than \(Limits.blockBytesMax) bytes"
        }
        return nil
    }
}

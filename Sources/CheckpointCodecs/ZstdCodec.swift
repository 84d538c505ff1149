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
        let written = unsafe ZstdContexts.shared.withContext { context in
            unsafe ZSTD_compressCCtx(
                context, stored.baseAddress, stored.count, raw.baseAddress, raw.count, Int32(level))
        }
        return written.flatMap { ZSTD_isError($0) == 0 ? Int($0) : nil }
    }

    package func decode(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        unsafe try checkHeader(stored, rawBytes: raw.count)
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

    /// Refuses what the format forbids and libzstd would take: skippable frames, and windows larger than a block.
    private func checkHeader(_ stored: UnsafeRawBufferPointer, rawBytes: Int) throws(CodecError) {
        guard stored.count >= 6, unsafe stored.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) else {
            throw CodecError(.zstd, "not a frame")
        }
        // RFC 8878, 3.1.1.1.1 and 3.1.1.1.2. A frame of a single segment has no window but its own content.
        let (descriptor, window) = unsafe (stored[4], stored[5])
        guard descriptor & 0x20 == 0 else { return }
        let base = 1 << (10 + Int(window >> 3))
        guard base + base / 8 * Int(window & 7) <= Limits.blockBytesMax else {
            throw CodecError(.zstd, "window larger than \(Limits.blockBytesMax) bytes")
        }
    }
}

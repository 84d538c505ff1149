internal import CZstd
package import CheckpointFormat

/// Codec 2: one Zstandard frame, encoded and decoded by the system's libzstd.
package struct ZstdCodec: BlockCodec {
    package let level: Int

    /// Creates a codec.
    ///
    /// - Parameter level: 1 (fast) to 19 (small). Has no effect on decoding.
    package init(level: Int) { self.level = level }

    package var identifier: CodecIdentifier { .zstd }

    package func encodedBytesMax(_ rawBytes: Int) -> Int { Int(ZSTD_compressBound(rawBytes)) }

    package func encode(_ raw: UnsafeRawBufferPointer, into stored: UnsafeMutableRawBufferPointer) -> Int? {
        let written = unsafe ZstdContexts.compressors.withContext { context in
            unsafe ZSTD_compressCCtx(
                context, stored.baseAddress, stored.count, raw.baseAddress, raw.count, Int32(level))
        }
        return written.flatMap { ZSTD_isError($0) == 0 ? Int($0) : nil }
    }

    /// Creates contexts and encodes zeros with each, because libzstd allocates a context's memory
    /// by level and length at its first use.
    package func prepareToEncode(threads: Int, rawBytes: Int) {
        let room = encodedBytesMax(rawBytes)
        // If the system refuses the memory, `encode` allocates it when needed.
        guard let memory = try? AlignedBuffer(count: rawBytes + room, hugePages: false) else { return }
        unsafe ZstdContexts.compressors.prepare(threads) { context in
            let (from, to) = unsafe (memory.region.prefix(rawBytes).bytes, memory.region[rawBytes..<rawBytes + room].mutableBytes)
            unsafe ZSTD_compressCCtx(context, to.baseAddress, to.count, from.baseAddress, from.count, Int32(level))
        }
    }

    package func decode(
        _ stored: UnsafeRawBufferPointer, into raw: UnsafeMutableRawBufferPointer
    ) throws(CodecError) {
        guard let context = unsafe ZstdContexts.decompressors.take() else { throw CodecError(.zstd, "out of memory for a zstd context") }
        defer { unsafe ZstdContexts.decompressors.give(context) }
        if let fault = unsafe ZstdFrame.decode(stored, into: raw, with: context) { throw CodecError(.zstd, fault) }
    }
}

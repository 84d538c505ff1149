internal import CZstd

/// A compression context for planes in memory of its own: one that zstd allocates is allocated anew when planes become smaller or larger.
@safe
final class FrameCoder {
    private let memory: AlignedBuffer
    private let context: OpaquePointer

    /// - Parameter level: of zstd; nil: nothing but Huffman codes.
    init(level: Int32?) throws(OutOfMemory) {
        memory = try AlignedBuffer(count: Self.contextBytes(level ?? 1), hugePages: false)
        guard let context = unsafe ZSTD_initStaticCCtx(memory.region.mutableBytes.baseAddress, memory.count) else {
            throw OutOfMemory(bytes: memory.count)
        }
        unsafe self.context = context
        let result = unsafe level.map { unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, $0) }
            ?? ckpt_zstd_set_huffman_only(context)
        precondition(ZSTD_isError(result) == 0, "libzstd has no literal compression by choice")
    }

    /// What a context needs for a plane of any size: zstd has other parameters for small ones.
    private static func contextBytes(_ level: Int32) -> Int {
        var most = 0
        for bytes in [16 << 10, 128 << 10, 256 << 10, SubBlockHeader.rawBytesMax] {
            most = max(most, Int(ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(level, UInt64(bytes), 0))))
        }
        return most + (64 << 10)
    }

    /// Binary logarithm of a frame's window, and so of the bytes that share a Huffman table.
    func setWindow(log: Int32) { unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, log) }

    /// - Returns: the frame's bytes, or nil if there is no room for it.
    func encode(_ plane: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int? {
        let written = unsafe ZSTD_compress2(context, room.baseAddress, room.count, plane.baseAddress, plane.count)
        return ZSTD_isError(written) == 0 ? written : nil
    }
}

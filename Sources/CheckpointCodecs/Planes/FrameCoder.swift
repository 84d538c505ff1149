internal import CZstd

/// A compression context for planes, in its own fixed memory. libzstd would reallocate the memory
/// of an ordinary context when planes become smaller or larger.
@safe
final class FrameCoder {
    private let memory: AlignedBuffer
    private let context: OpaquePointer

    /// Creates a context.
    ///
    /// - Parameter level: The zstd level; nil for Huffman codes without matches.
    /// - Throws: `OutOfMemory` if the system refuses memory.
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

    /// Returns the memory that a context needs for a plane of any size, in bytes. libzstd uses
    /// other parameters for small planes, so several sizes are compared.
    private static func contextBytes(_ level: Int32) -> Int {
        var most = 0
        for bytes in [16 << 10, 128 << 10, 256 << 10, SubBlockHeader.rawBytesMax] {
            most = max(most, Int(ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(level, UInt64(bytes), 0))))
        }
        return most + (64 << 10)
    }

    /// Sets the size of a frame's window, which is also the number of bytes that share a Huffman
    /// table.
    ///
    /// - Parameter log: Binary logarithm of the size in bytes.
    func setWindow(log: Int32) { unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, log) }

    /// Encodes a plane.
    ///
    /// - Returns: Size of the frame in bytes; nil if it does not fit into `room`.
    func encode(_ plane: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int? {
        let written = unsafe ZSTD_compress2(context, room.baseAddress, room.count, plane.baseAddress, plane.count)
        return ZSTD_isError(written) == 0 ? written : nil
    }
}

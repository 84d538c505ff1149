internal import CZstd
internal import CheckpointFormat

/// The memory that coding a sub-block needs; used by one thread at a time and kept, so that coding allocates nothing.
@safe
final class PlaneScratch: @unchecked Sendable {
    static let pool = ContextPool<PlaneScratch> {
        // Refused memory is what nil says.
        try? PlaneScratch()
    }

    private let planes: AlignedBuffer
    private let sample: AlignedBuffer
    private let trial: AlignedBuffer
    private let escapes: AlignedBuffer
    private let coders: AlignedBuffer
    private let huffman: OpaquePointer
    private let matching: OpaquePointer

    private init() throws(OutOfMemory) {
        planes = try AlignedBuffer(count: SubBlockHeader.rawBytesMax, hugePages: false)
        escapes = try AlignedBuffer(count: SubBlockHeader.rawBytesMax, hugePages: false)
        sample = try AlignedBuffer(count: 2 * PlaneTrial.sampleBytes, hugePages: false)
        trial = try AlignedBuffer(count: Int(ZSTD_compressBound(PlaneTrial.sampleBytes)), hugePages: false)
        // Contexts in memory of our own: one that zstd allocates is allocated anew when planes become smaller or larger.
        let parameters = ZSTD_getCParams(1, UInt64(SubBlockHeader.rawBytesMax), 0)
        let room = (Int(ZSTD_estimateCCtxSize_usingCParams(parameters)) + (64 << 10)) & ~63
        coders = try AlignedBuffer(count: 2 * room, hugePages: false)
        guard let start = unsafe coders.region.mutableBytes.baseAddress, let huffman = unsafe ZSTD_initStaticCCtx(start, room),
            let matching = unsafe ZSTD_initStaticCCtx(start + room, room)
        else { throw OutOfMemory(bytes: 2 * room) }
        unsafe (self.huffman, self.matching) = (huffman, matching)
        let isSet = unsafe [
            ckpt_zstd_set_huffman_only(huffman), ZSTD_CCtx_setParameter(matching, ZSTD_c_compressionLevel, 1),
        ].allSatisfy { ZSTD_isError($0) == 0 }
        precondition(isSet, "libzstd has no literal compression by choice")
    }

    /// Where plane `index` may lie, when all planes have `planeBytes` bytes.
    func plane(_ index: Int, planeBytes: Int) -> UnsafeMutableRawBufferPointer {
        let range = index * planeBytes..<(index + 1) * planeBytes
        return unsafe UnsafeMutableRawBufferPointer(rebasing: planes.region.mutableBytes[range])
    }

    /// Room for the escapes of a plane.
    var escapeRoom: UnsafeMutableRawBufferPointer { unsafe escapes.region.mutableBytes }

    /// Room for the bytes that a trial gathers, and for those of the base.
    var sampleRoom: UnsafeMutableRawBufferPointer { unsafe sample.region[0..<PlaneTrial.sampleBytes].mutableBytes }
    var baseSampleRoom: UnsafeMutableRawBufferPointer {
        unsafe sample.region[PlaneTrial.sampleBytes..<2 * PlaneTrial.sampleBytes].mutableBytes
    }

    /// Room for what a trial encodes, and forgets.
    var trialRoom: UnsafeMutableRawBufferPointer { unsafe trial.region.mutableBytes }

    /// Encodes a plane as one frame.
    /// - Returns: the frame's bytes, or nil if there is no room for it.
    func frame(
        _ plane: UnsafeRawBufferPointer, _ method: PlaneMethod, into room: UnsafeMutableRawBufferPointer
    ) -> Int? {
        let written: Int
        switch method {
        case .huffman, .mixed:
            unsafe ZSTD_CCtx_setParameter(huffman, ZSTD_c_windowLog, method == .mixed ? Self.mixedLog : Self.huffmanLog)
            written = unsafe ZSTD_compress2(huffman, room.baseAddress, room.count, plane.baseAddress, plane.count)
        case .matches:
            written = unsafe ZSTD_compress2(matching, room.baseAddress, room.count, plane.baseAddress, plane.count)
        case .search:
            let found = unsafe ZstdContexts.compressors.withContext { context in
                unsafe ZSTD_compressCCtx(context, room.baseAddress, room.count, plane.baseAddress, plane.count, Self.searchLevel)
            }
            guard let found else { return nil }
            written = found
        case .raw, .top: preconditionFailure("no frame")
        }
        return ZSTD_isError(written) == 0 ? written : nil
    }

    /// Of the bytes that share a Huffman table: with 64 KiB the tables follow the tensors closer than with zstd's 128, and cost as good as
    /// nothing; where noise and other bytes alternate, they follow them with 16.
    private static let (huffmanLog, mixedLog): (Int32, Int32) = (16, 14)

    /// The level beyond which shuffled floats and tokens gain next to nothing.
    private static let searchLevel: Int32 = 6
}

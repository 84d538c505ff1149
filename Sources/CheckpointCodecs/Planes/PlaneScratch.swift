internal import CZstd
internal import CheckpointFormat

/// The memory for encoding and decoding a sub-block. It is used by one thread at a time and kept,
/// so that encoding allocates nothing.
@safe
final class PlaneScratch: @unchecked Sendable {
    static let pool = ContextPool<PlaneScratch> {
        // Nil means that the system refused memory.
        try? PlaneScratch()
    }

    private let planes: AlignedBuffer
    private let escapes: AlignedBuffer
    private let sample: AlignedBuffer
    private let trial: AlignedBuffer
    private let huffman: FrameCoder
    private let matching: FrameCoder
    /// Created at first use, because it is large and seldom used. Nil if the system refuses memory.
    private lazy var searching = try? FrameCoder(level: Self.searchLevel)

    /// Created at first use, because it is large and seldom used. Nil if the system refuses memory.
    lazy var sorter = try? ElementSorter()

    private init() throws(OutOfMemory) {
        planes = try AlignedBuffer(count: SubBlockHeader.rawBytesMax, hugePages: false)
        escapes = try AlignedBuffer(count: SubBlockHeader.rawBytesMax, hugePages: false)
        sample = try AlignedBuffer(count: 2 * PlaneTrial.sampleBytes, hugePages: false)
        trial = try AlignedBuffer(count: Int(ZSTD_compressBound(PlaneTrial.sampleBytes)), hugePages: false)
        huffman = try FrameCoder(level: nil)
        matching = try FrameCoder(level: 1)
    }

    /// Creates the parts that would otherwise be created at first use.
    func prepare(for effort: PlaneEffort) { if effort == .max { _ = (searching, sorter) } }

    /// Returns the memory for one plane, when all planes have `planeBytes` bytes.
    func plane(_ index: Int, planeBytes: Int) -> UnsafeMutableRawBufferPointer {
        let range = index * planeBytes..<(index + 1) * planeBytes
        return unsafe UnsafeMutableRawBufferPointer(rebasing: planes.region.mutableBytes[range])
    }

    /// Memory for the escapes of a plane.
    var escapeRoom: UnsafeMutableRawBufferPointer { unsafe escapes.region.mutableBytes }

    /// Memory for the sample of a trial; `baseSampleRoom` is for the sample of the base.
    var sampleRoom: UnsafeMutableRawBufferPointer { unsafe sample.region[0..<PlaneTrial.sampleBytes].mutableBytes }
    var baseSampleRoom: UnsafeMutableRawBufferPointer {
        unsafe sample.region[PlaneTrial.sampleBytes..<2 * PlaneTrial.sampleBytes].mutableBytes
    }

    /// Memory for the result of a trial, which is not kept.
    var trialRoom: UnsafeMutableRawBufferPointer { unsafe trial.region.mutableBytes }

    /// Encodes a plane as one frame.
    ///
    /// - Returns: Size of the frame in bytes; nil if it does not fit into `room`.
    func frame(
        _ plane: UnsafeRawBufferPointer, _ method: PlaneMethod, into room: UnsafeMutableRawBufferPointer
    ) -> Int? {
        switch method {
        case .huffman, .mixed:
            huffman.setWindow(log: method == .mixed ? Self.mixedLog : Self.huffmanLog)
            return unsafe huffman.encode(plane, into: room)
        case .matches: return unsafe matching.encode(plane, into: room)
        case .search: return unsafe searching?.encode(plane, into: room)
        case .raw, .top: preconditionFailure("no frame")
        }
    }

    /// Binary logarithms of the number of bytes that share a Huffman table. With 64 KiB the tables
    /// follow the tensors more closely than with zstd's 128 KiB, at almost no cost. With 16 KiB
    /// they also follow an alternation of noise and other bytes.
    private static let (huffmanLog, mixedLog): (Int32, Int32) = (16, 14)

    /// The zstd level of `search`. Higher levels gain almost nothing on shuffled floats and on
    /// tokens.
    private static let searchLevel: Int32 = 6
}

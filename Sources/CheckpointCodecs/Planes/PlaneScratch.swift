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
    private let escapes: AlignedBuffer
    private let sample: AlignedBuffer
    private let trial: AlignedBuffer
    private let huffman: FrameCoder
    private let matching: FrameCoder
    /// Made when it is first asked for: it is large, and seldom used. Nil if the system refuses memory.
    private lazy var searching = try? FrameCoder(level: Self.searchLevel)

    /// Likewise.
    lazy var sorter = try? ElementSorter()

    private init() throws(OutOfMemory) {
        planes = try AlignedBuffer(count: SubBlockHeader.rawBytesMax, hugePages: false)
        escapes = try AlignedBuffer(count: SubBlockHeader.rawBytesMax, hugePages: false)
        sample = try AlignedBuffer(count: 2 * PlaneTrial.sampleBytes, hugePages: false)
        trial = try AlignedBuffer(count: Int(ZSTD_compressBound(PlaneTrial.sampleBytes)), hugePages: false)
        huffman = try FrameCoder(level: nil)
        matching = try FrameCoder(level: 1)
    }

    /// Makes what is otherwise made when it is first used.
    func prepare(for effort: PlaneEffort) { if effort == .max { _ = (searching, sorter) } }

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
        switch method {
        case .huffman, .mixed:
            huffman.setWindow(log: method == .mixed ? Self.mixedLog : Self.huffmanLog)
            return unsafe huffman.encode(plane, into: room)
        case .matches: return unsafe matching.encode(plane, into: room)
        case .search: return unsafe searching?.encode(plane, into: room)
        case .raw, .top: preconditionFailure("no frame")
        }
    }

    /// Of the bytes that share a Huffman table: with 64 KiB the tables follow the tensors closer than with zstd's 128, and cost as good as
    /// nothing; where noise and other bytes alternate, they follow them with 16.
    private static let (huffmanLog, mixedLog): (Int32, Int32) = (16, 14)

    /// The level beyond which shuffled floats and tokens gain next to nothing.
    private static let searchLevel: Int32 = 6
}

internal import CBaseline
internal import CheckpointCodecs
internal import CheckpointIO
internal import Checkpointing
internal import SystemPackage

// The one file here that hands addresses to C and to the kernel; every count is that of the region it comes with.

extension MemoryRegion {
    /// Adds to every element of `width` bytes; wraps.
    func add(_ amount: UInt64, width: Int) { unsafe bench_add(mutableBytes.baseAddress, count, width, amount) }

    /// Multiplies and adds to the floats that fill the region, `rounds` times.
    func multiplyAdd(rounds: Int) {
        guard let start = unsafe mutableBytes.baseAddress else { return }
        unsafe bench_multiply_add(start.assumingMemoryBound(to: Float.self), count / 4, rounds)
    }

    /// Reads from `offset` of a file until the region is full.
    func read(from file: any ReadableFile, at offset: Int) throws { unsafe try file.read(into: mutableBytes, at: offset) }
}

/// Normally distributed numbers to fill tensors from.
@safe
struct NormalTable: ~Copyable {
    private let values: UnsafeMutablePointer<Float>

    init(seed: UInt64) throws(CheckpointError) {
        guard let values = unsafe bench_table_create(seed) else {
            throw CheckpointError(.outOfMemory, "the system refused 4 MiB for random numbers")
        }
        unsafe self.values = values
    }

    deinit { unsafe bench_table_destroy(values) }

    /// Fills a tensor of `width` bytes an element: 4 is f32, 2 is bf16.
    func fill(_ region: MemoryRegion, width: Int, _ kind: TensorSpecification.Values, seed: UInt64) {
        let values = switch kind {
        case .weights: BENCH_WEIGHTS
        case .means: BENCH_MEANS
        case .squares: BENCH_SQUARES
        }
        unsafe bench_fill(region.mutableBytes.baseAddress, region.count, width, values, self.values, seed)
    }
}

/// The buffers of the reference writer.
@safe
struct WriterRing: ~Copyable {
    private let ring: OpaquePointer

    init() throws(CheckpointError) {
        guard let ring = unsafe baseline_ring_create() else {
            throw CheckpointError(.outOfMemory, "the system refused 16 MiB for the reference writer")
        }
        unsafe self.ring = ring
    }

    deinit { unsafe baseline_ring_destroy(ring) }

    /// Writes a region, whose size is a multiple of 4096, to a file; through the ring if `isCopied`.
    /// - Returns: seconds, from creating the file until it was synced.
    func write(_ region: MemoryRegion, to path: String, isCopied: Bool, overwrites: Bool) throws(FileSystemError) -> Double {
        let ring = unsafe isCopied ? ring : nil
        let result = unsafe baseline_write(path, region.bytes.baseAddress, region.count, ring, overwrites ? 1 : 0)
        guard unsafe result.error == 0 else {
            throw unsafe FileSystemError(String(cString: result.where), FilePath(path), Errno(rawValue: result.error))
        }
        return unsafe result.seconds
    }
}

internal import CBaseline
internal import CheckpointCodecs
internal import CheckpointIO
internal import Checkpointing
internal import SystemPackage

// This is the only file here that passes addresses to C and to the kernel. Every count is that of
// the region that it is passed with.

extension MemoryRegion {
    /// Adds to every element with wrapping arithmetic.
    ///
    /// - Parameters:
    ///   - amount: value to add.
    ///   - width: width of an element in bytes.
    func add(_ amount: UInt64, width: Int) { unsafe bench_add(mutableBytes.baseAddress, count, width, amount) }

    /// Multiplies and adds to the floats in the region.
    ///
    /// - Parameter rounds: number of passes over the region.
    func multiplyAdd(rounds: Int) {
        guard let start = unsafe mutableBytes.baseAddress else { return }
        unsafe bench_multiply_add(start.assumingMemoryBound(to: Float.self), count / 4, rounds)
    }

    /// Fills the region from a file.
    ///
    /// - Parameters:
    ///   - file: the file.
    ///   - offset: offset of the first byte.
    /// - Throws: `FileSystemError`, also if the file ends before the region is full.
    func read(from file: any ReadableFile, at offset: Int) throws { unsafe try file.read(into: mutableBytes, at: offset) }
}

/// Table of normally distributed numbers for filling tensors.
@safe
struct NormalTable: ~Copyable {
    private let values: UnsafeMutablePointer<Float>

    init(seed: UInt64) throws(CheckpointError) {
        guard let values = unsafe bench_table_create(seed) else {
            throw CheckpointError(.outOfMemory, "cannot allocate 4 MiB for random numbers")
        }
        unsafe self.values = values
    }

    deinit { unsafe bench_table_destroy(values) }

    /// Fills a tensor with random values.
    ///
    /// - Parameters:
    ///   - region: the tensor's bytes.
    ///   - width: width of an element in bytes: 4 for f32, 2 for bf16.
    ///   - kind: distribution of the values.
    ///   - seed: seed of the values.
    func fill(_ region: MemoryRegion, width: Int, _ kind: TensorSpecification.Values, seed: UInt64) {
        let values = switch kind {
        case .weights: BENCH_WEIGHTS
        case .means: BENCH_MEANS
        case .squares: BENCH_SQUARES
        }
        unsafe bench_fill(region.mutableBytes.baseAddress, region.count, width, values, self.values, seed)
    }
}

/// Buffers of the reference writer.
@safe
struct WriterRing: ~Copyable {
    private let ring: OpaquePointer

    init() throws(CheckpointError) {
        guard let ring = unsafe baseline_ring_create() else {
            throw CheckpointError(.outOfMemory, "cannot allocate 16 MiB for the reference writer")
        }
        unsafe self.ring = ring
    }

    deinit { unsafe baseline_ring_destroy(ring) }

    /// Writes a region to a file and syncs the file.
    ///
    /// - Parameters:
    ///   - region: the bytes; its size is a multiple of 4096.
    ///   - path: the file.
    ///   - isCopied: whether the bytes pass through the ring's buffers.
    ///   - overwrites: whether an existing file is written over.
    /// - Returns: time in seconds from creating the file to the end of the sync.
    /// - Throws: `FileSystemError` if a call fails.
    func write(_ region: MemoryRegion, to path: String, isCopied: Bool, overwrites: Bool) throws(FileSystemError) -> Double {
        let ring = unsafe isCopied ? ring : nil
        let result = unsafe baseline_write(path, region.bytes.baseAddress, region.count, ring, overwrites ? 1 : 0)
        guard unsafe result.error == 0 else {
            throw unsafe FileSystemError(String(cString: result.where), FilePath(path), Errno(rawValue: result.error))
        }
        return unsafe result.seconds
    }
}

/// A stream of CUDA work.
public struct CUDAStream: Hashable, Sendable {
    /// The driver's `CUstream`, which is the runtime's `cudaStream_t`, as a number.
    public var handle: UInt
    /// Wraps a stream.
    ///
    /// - Parameter handle: a `CUstream` or `cudaStream_t` of the device's primary context; in
    ///   PyTorch, `stream.cuda_stream`.
    public init(handle: UInt) { self.handle = handle }

    /// The legacy default stream (`CU_STREAM_LEGACY`), used by work that names no stream.
    public static let legacyDefault = CUDAStream(handle: 1)
    /// The calling thread's default stream (`CU_STREAM_PER_THREAD`), for programs that are built
    /// with one default stream per thread.
    public static let perThreadDefault = CUDAStream(handle: 2)
}

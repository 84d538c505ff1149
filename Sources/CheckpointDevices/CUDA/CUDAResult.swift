internal import CheckpointState
internal import Glibc

/// Results (CUresult) that are handled specially.
enum CUDAResult {
    static let success: Int32 = 0
    static let outOfMemory: Int32 = 2
    static let noDevice: Int32 = 100
    static let invalidDevice: Int32 = 101
    static let alreadyRegistered: Int32 = 712

    /// Returns the remedy for a failure.
    static func remedy(_ result: Int32) -> String {
        switch result {
        case 1: "Check that the lent memory is in one allocation, and not freed"
        case outOfMemory: "Free device memory, lower arenaBytes, or raise the limit on locked memory (ulimit -l)"
        case noDevice, invalidDevice: "Check nvidia-smi and CUDA_VISIBLE_DEVICES"
        case 201, 400: "Pass a stream of the device's primary context, which the CUDA runtime uses"
        case 700...702, 709, 714...719: "An earlier error of the program has destroyed the context: restart the program and resume"
        case 803, 999: "Check that the driver and the kernel module have the same version"
        case 900...909: "Do not save while the stream is being captured into a graph"
        default: "See the documentation of the CUDA driver"
        }
    }
}

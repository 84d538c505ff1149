internal import CheckpointDevices
internal import CheckpointStorage

/// The rank and the devices to which numbers in a description of tensors refer.
struct DescriptionScope {
    /// This one of several processes; nil if it saves alone.
    var rank: Int?
    /// The GPUs that the caller has named, from number 1 on.
    var devices: [CUDADevice] = []

    /// The GPU with a number; nil for 0, the memory of the process.
    ///
    /// - Throws: code `misuse` if there is none.
    func device(_ number: Int, _ tensor: String) throws(CheckpointError) -> CUDADevice? {
        guard number != 0 else { return nil }
        guard number > 0, number <= devices.count else {
            throw .argument(
                "tensor \"\(tensor)\": \(number) is not a device of this call",
                remedy: "Take the number from ckpt_cuda_device of the same checkpointer")
        }
        return devices[number - 1]
    }
}

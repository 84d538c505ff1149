internal import CheckpointState
internal import CheckpointStorage

/// The rank and the devices to which numbers in a description of tensors refer.
struct DescriptionScope {
    /// This one of several processes; nil if it saves alone.
    var rank: Int?
    /// The devices that the caller has named, from number 1 on.
    private var devices: [any TensorDevice] = []
    private static let devicesMax = 256

    init(rank: Int? = nil) { self.rank = rank }

    /// Adds a device.
    ///
    /// - Parameter open: opens it, if there is room.
    /// - Returns: its number.
    /// - Throws: code `misuse`, and what `open` throws.
    mutating func add(
        _ open: () throws(CheckpointError) -> any TensorDevice
    ) throws(CheckpointError) -> UInt32 {
        guard devices.count < Self.devicesMax else {
            throw .argument(
                "the checkpointer has \(Self.devicesMax) devices already",
                remedy: "Use the number of a device again")
        }
        devices.append(try open())
        return UInt32(devices.count)
    }

    /// The device with a number; nil for 0, the memory of the process.
    ///
    /// - Throws: code `misuse` if there is none.
    func device(_ number: Int, _ tensor: String) throws(CheckpointError)
        -> (any TensorDevice)?
    {
        guard number != 0 else { return nil }
        guard number > 0, number <= devices.count else {
            throw .argument(
                "tensor \"\(tensor)\": \(number) is not a device of this call",
                remedy: "Take the number from ckpt_cuda_device or ckpt_add_device of the same "
                    + "checkpointer")
        }
        return devices[number - 1]
    }
}

internal import CheckpointFormat
internal import CheckpointSharding

/// A provider of bytes of known size that only the host program understands, stored as a tensor of
/// `u8`.
public struct RawBytesState: StateProvider {
    private let name: String
    private let memory: LentMemory

    /// Describes bytes of the host program.
    ///
    /// - Parameters:
    ///   - name: name of the tensor that holds the bytes.
    ///   - memory: memory to save and restore completely.
    public init(_ name: String, _ memory: LentMemory) {
        self.name = name
        self.memory = memory
    }

    public func describe(to inventory: inout StateInventory) throws {
        let view = try TensorView(memory, type: .u8, shape: [memory.byteCount])
        inventory.add(tensor: name, view, role: .other)
    }
}

internal import CheckpointExchange
internal import CheckpointFormat
public import CheckpointStorage

extension Checkpoint {
    /// Returns the beginning of a NumPy file (`.npy`) of a tensor; its row-major bytes follow, as
    /// `withBytes(ofTensor:_:)` gives them.
    ///
    /// - Parameter name: the tensor's name.
    /// - Returns: the header.
    /// - Throws: codes `notFound` (no such tensor), `unsupported` (NumPy has no type of this width).
    public func numpyHeader(ofTensor name: String) throws(CheckpointError) -> [UInt8] {
        guard let tensor = tensor(name) else {
            throw CheckpointError(
                .notFound, "the checkpoint has no tensor \"\(name)\"", names: [name])
        }
        guard let header = NumpyWriter.header(tensor.type, tensor.shape) else {
            throw CheckpointError(
                .unsupported,
                "tensor \"\(name)\" is of type \(tensor.type.rawValue), which NumPy files cannot hold",
                remedy: "Use the raw format, or export as safetensors", names: [name])
        }
        return header
    }
}

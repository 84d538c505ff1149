public import CheckpointStorage

extension Checkpoint {
    /// Passes on the bytes of a safetensors file of the checkpoint's tensors, in order, for a place
    /// that is not a file: standard output, a socket.
    ///
    /// Every byte is checked before it is passed on. If damage is found on the way, what has been
    /// passed on is a file that is cut off.
    ///
    /// - Parameters:
    ///   - options: the tensors to export, and their names; `shardBytes`, `includesObjects` and
    ///     `replacesExisting` have no effect.
    ///   - write: called on this thread with the bytes that follow, at most 1 MiB at a time but for
    ///     the header.
    /// - Returns: the tensors written, and the size of the file.
    /// - Throws: codes `damaged`, `misuse` (two tensors would get one name), `io`, `outOfMemory`,
    ///   `cancelled`, and what `write` throws.
    @discardableResult
    public func writeSafetensors(
        _ options: ExportOptions = ExportOptions(),
        _ write: ([UInt8]) throws(CheckpointError) -> Void
    ) throws(CheckpointError) -> ExportReport {
        try SafetensorsExport(path: "stream.safetensors", options: options).stream(self, write)
    }
}

public import CheckpointStorage

extension Checkpoint {
    /// Writes the checkpoint's tensors as the bytes of a safetensors file, in order, to a
    /// destination that is not a file: standard output, a socket.
    ///
    /// Every byte is checked before it is written. If damage is found after the start, the bytes
    /// written so far are an incomplete file.
    ///
    /// - Parameters:
    ///   - options: the tensors to export, and their names; `shardBytes`, `includesObjects` and
    ///     `replacesExisting` have no effect.
    ///   - write: called on this thread with the bytes that follow, at most 1 MiB at a time except
    ///     for the header.
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

internal import CheckpointFormat
internal import SystemPackage

/// Reader of files of `torch.save`.
enum TorchReader {
    /// Name of the object that holds everything that is not a tensor.
    static let extraName = "extra"
    /// Name of the object that holds the attributes of tensors.
    static let attributesName = "tensor_attributes"

    static func read(_ archive: TorchArchive, _ file: ForeignFile, _ options: ReadingOptions)
        throws(ExchangeError) -> ForeignCheckpoint
    {
        var state = TorchState(archive, skipsObjects: options.skipsObjects)
        var checkpoint = ForeignCheckpoint(.pt)
        let extra = try state.readRoot()
        if state.tensors.isEmpty, let first = state.leftOut.first {
            throw .refused(
                file.path.string,
                "nothing in it can be imported; the first entry that was left out: \(first.what)",
                remedy: "Save the state_dict() with torch.save, and import that file")
        }
        if let extra { checkpoint.objects = [ForeignObject(extraName, extra)] }
        if !state.attributes.isEmpty {
            checkpoint.objects.append(ForeignObject(attributesName, .object(state.attributes)))
        }
        checkpoint.tensors = state.tensors
        checkpoint.leftOut = state.leftOut
        try checkpoint.checkExpansion(file.size, file.path.string)
        return checkpoint
    }
}

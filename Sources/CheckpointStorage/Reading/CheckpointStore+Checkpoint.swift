extension CheckpointStore {
    /// Opens a checkpoint for reading.
    ///
    /// For `latest` this is the newest checkpoint whose manifest is intact; blocks are checked when
    /// they are read. Use `newestIntact` to have every byte checked first.
    ///
    /// - Parameter reference: the checkpoint to open.
    /// - Returns: the checkpoint. No file stays open.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    public func checkpoint(
        _ reference: CheckpointReference = .latest
    ) throws(CheckpointError) -> Checkpoint {
        let (manifest, skipped) = try load(reference)
        return try Checkpoint(manifest, in: self, skipped: skipped)
    }

    /// Calls `body` with a checkpoint, and returns its result.
    ///
    /// For `latest` this is the newest checkpoint for which `body` does not find damage: if it
    /// throws code `damaged`, it is called again with the next older checkpoint. It is also called
    /// again if a repack replaced the manifest while it ran. So `body` must be able to start over.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint to open.
    ///   - onSkip: called with the damage of each checkpoint that is skipped, newest first.
    ///   - body: reads the checkpoint.
    /// - Returns: the result of `body`, and the damage of the checkpoints that were skipped.
    /// - Throws: codes `notFound`, `damaged` (no checkpoint is intact), and what `body` throws.
    public func withCheckpoint<R>(
        _ reference: CheckpointReference, onSkip: (CheckpointError) -> Void = { _ in },
        _ body: (Checkpoint) throws(CheckpointError) -> R
    ) throws(CheckpointError) -> (result: R, skipped: [CheckpointError]) {
        try withManifest(reference, onSkip: onSkip) { manifest throws(CheckpointError) in
            try body(Checkpoint(manifest, in: self))
        }
    }

    /// Finds the newest checkpoint without any damage. Reads each candidate completely.
    ///
    /// - Parameter progress: called with the bytes of the candidate checked so far, and their total.
    /// - Returns: the checkpoint, with the damaged newer ones in `skipped`.
    /// - Throws: codes `notFound` (the store is empty), `damaged` (no checkpoint is intact), `io`.
    public func newestIntact(
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> Checkpoint {
        let (checkpoint, skipped) = try withCheckpoint(.latest) { checkpoint throws(CheckpointError) in
            try checkpoint.check(progress: progress)
            return checkpoint
        }
        return try Checkpoint(checkpoint.manifest, in: self, skipped: skipped)
    }
}

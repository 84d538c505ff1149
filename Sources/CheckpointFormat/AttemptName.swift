/// Name of the directory of an attempt of several ranks to save a step: `RUN-STEP-ATTEMPT`
/// (Formats/store-layout.md, Names).
package struct AttemptName: Hashable, Sendable, CustomStringConvertible {
    /// Name of the checkpoint that the attempt is to commit.
    package var checkpoint: ManifestName
    package var attempt: CheckpointID

    package init(checkpoint: ManifestName, attempt: CheckpointID) {
        self.checkpoint = checkpoint
        self.attempt = attempt
    }

    /// Parses a directory's name; nil if `text` is not an attempt's name.
    package init?(_ text: String) {
        guard text.utf8.count == 86 else { return nil }
        let fields = text.split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count == 3,
            let checkpoint = ManifestName("\(fields[0])-\(fields[1]).manifest"),
            let attempt = CheckpointID(fields[2])
        else { return nil }
        self.init(checkpoint: checkpoint, attempt: attempt)
    }

    package var description: String {
        "\(checkpoint.run)-\(Decimal.string(of: checkpoint.step, digits: 20))-\(attempt)"
    }
}

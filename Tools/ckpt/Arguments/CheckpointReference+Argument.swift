public import ArgumentParser
public import Checkpointing

extension CheckpointReference: ExpressibleByArgument {
    public static var defaultCompletionKind: CompletionKind { .references }

    /// REF on the command line.
    public init?(argument: String) { self.init(argument) }
}

extension CheckpointStore {
    /// The manifest that REF selects; warns of damaged ones that `latest` skipped.
    func find(_ reference: CheckpointReference) throws -> (
        manifest: Manifest, skipped: [CheckpointError]
    ) {
        let found = try load(reference) { Output.warn("skipped a damaged checkpoint: \($0)") }
        if reference == .latest { tellRun(of: found.manifest) }
        return found
    }

    /// Reports the run of `latest`, if the store has several runs.
    private func tellRun(of manifest: Manifest) {
        // The list is only for this line.
        let newest = ((try? newest(64)) ?? []).compactMap { try? $0.get() }
        let names = Set(newest.map(\.runName))
        guard names.count > 1, let run = newest.first(where: { $0.id == manifest.id })?.runName
        else { return }
        Output.warn(
            "latest is step \(manifest.step) of run \(run), one of \(names.count) runs. Use RUN:latest to choose another run"
        )
    }
}

internal import CheckpointFormat
public import CheckpointStorage

extension CheckpointStore {
    /// Follows the parameters of a model through the last of some checkpoints and those that it
    /// descends from: earlier ones of its run, then the one that the run was resumed from, and so
    /// on.
    ///
    /// An unchanged tensor is not read, and one in which every element changed is read once; any
    /// other is read twice. Memory use is independent of the size of tensors. Of a store without
    /// checkpoints, the evolution is empty.
    ///
    /// - Parameters:
    ///   - checkpoints: from the oldest to the newest.
    ///   - most: number of checkpoints that are read, evenly spaced; at least 2.
    ///   - patterns: names of the tensors whose histograms are made, at most twelve; none means the
    ///     largest parameters of four layers.
    ///   - progress: called before each checkpoint with the number of those read, and their total.
    /// - Returns: the evolution. It says which checkpoints are damaged, and were left out.
    /// - Throws: codes `io`, `damaged` (only while histograms are made), `outOfMemory`.
    public func evolution(
        of checkpoints: [CheckpointSummary], atMost most: Int = 50,
        histograms patterns: [NamePattern] = [],
        progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> ModelEvolution {
        guard !checkpoints.isEmpty else { return ModelEvolution() }
        let nodes = checkpoints.map {
            Ancestry.Node(id: $0.id, run: $0.run, step: $0.step, parent: $0.parent)
        }
        let path = Ancestry.path(to: checkpoints.count - 1, in: nodes)
        let chosen = Ancestry.evenly(path, max(2, most)).map { checkpoints[$0].name }
        var builder = EvolutionBuilder(store: self, progress: progress)
        return try builder.build(chosen, histograms: patterns)
    }
}

internal import CheckpointFormat

/// The ancestors of checkpoints, and an even selection of many checkpoints. Pure.
enum Ancestry {
    /// A checkpoint.
    struct Node: Equatable {
        var id: CheckpointID
        /// The restart that saved it.
        var run: RunID
        var step: Int
        var parent: CheckpointID?
    }

    /// Returns the positions of the checkpoints that lead to a given one, the oldest first: those
    /// of its run before it, then the one that the run was resumed from, and so on.
    static func path(to newest: Int, in nodes: [Node]) -> [Int] {
        let places = Dictionary(
            nodes.indices.map { (nodes[$0].id, $0) }, uniquingKeysWith: { first, _ in first })
        // Each run in the order of its steps, and the position of each checkpoint in it.
        let runs = Dictionary(grouping: nodes.indices) { nodes[$0].run }
            .mapValues { $0.sorted { nodes[$0].step < nodes[$1].step } }
        var ranks = [Int](repeating: 0, count: nodes.count)
        for run in runs.values { for (rank, place) in run.enumerated() { ranks[place] = rank } }
        var (path, seen) = ([newest], Set([newest]))
        while let last = path.last {
            let node = nodes[last]
            let before = runs[node.run]?.prefix(ranks[last]).last { nodes[$0].step < node.step }
            // Only forged manifests can have a cycle of parents.
            guard let next = before ?? node.parent.flatMap({ places[$0] }),
                seen.insert(next).inserted
            else { break }
            path.append(next)
        }
        return path.reversed()
    }

    /// Returns at most `limit` of the elements, the first and the last among them, as evenly as can
    /// be.
    static func evenly<T>(_ elements: [T], _ limit: Int) -> [T] {
        precondition(limit >= 2)
        guard elements.count > limit else { return elements }
        return (0..<limit).map { elements[$0 * (elements.count - 1) / (limit - 1)] }
    }
}

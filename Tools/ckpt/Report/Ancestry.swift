import Checkpointing

/// The ancestors of checkpoints, and an even selection of many checkpoints: pure.
enum Ancestry {
    struct Node: Equatable {
        var id: CheckpointID
        var run: RunID
        var step: Int
        var parent: CheckpointID?
    }

    /// Places of the checkpoints that lead to the newest one, the oldest first: those of its run before it, then the one that the run was
    /// resumed from, and so on.
    static func path(to newest: Int, in nodes: [Node]) -> [Int] {
        let places = Dictionary(nodes.indices.map { (nodes[$0].id, $0) }, uniquingKeysWith: { first, _ in first })
        // Each run in the order of its steps, and the position of each checkpoint in it.
        let runs = Dictionary(grouping: nodes.indices) { nodes[$0].run }.mapValues { $0.sorted { nodes[$0].step < nodes[$1].step } }
        var ranks = [Int](repeating: 0, count: nodes.count)
        for run in runs.values { for (rank, place) in run.enumerated() { ranks[place] = rank } }
        var (path, seen) = ([newest], Set([newest]))
        while let last = path.last {
            let node = nodes[last]
            let before = runs[node.run]?.prefix(ranks[last]).last { nodes[$0].step < node.step }
            // Only forged manifests can have a cycle of parents.
            guard let next = before ?? node.parent.flatMap({ places[$0] }), seen.insert(next).inserted else { break }
            path.append(next)
        }
        return path.reversed()
    }

    /// At most `limit` of the elements, the first and the last among them, as evenly as can be.
    static func evenly<T>(_ elements: [T], _ limit: Int) -> [T] {
        precondition(limit >= 2)
        guard elements.count > limit else { return elements }
        return (0..<limit).map { elements[$0 * (elements.count - 1) / (limit - 1)] }
    }
}

/// Tensors grouped by the layer in their names: pure.
enum Layers {
    /// Groups of names that begin with the same components, as many components as leave at most `limit` groups; what is beyond that goes
    /// into one more. The last component of a name (`weight`, `bias`) does not count.
    static func group(_ names: [String], limit: Int) -> [(layer: String, members: [Int])] {
        let parts = names.map { $0.split(separator: ".", omittingEmptySubsequences: false) }
        let deepest = parts.map { max($0.count - 1, 1) }.max() ?? 1
        for depth in (1...deepest).reversed() {
            let groups = grouped(parts, depth)
            if groups.count <= limit || depth == 1 { return limited(groups, limit) }
        }
        return []
    }

    private static func grouped(_ parts: [[Substring]], _ depth: Int) -> [(layer: String, members: [Int])] {
        var groups: [(layer: String, members: [Int])] = []
        var places: [String: Int] = [:]
        for (index, components) in parts.enumerated() {
            let name = components.prefix(min(depth, max(components.count - 1, 1))).joined(separator: ".")
            if let place = places[name] { groups[place].members.append(index) } else {
                places[name] = groups.count
                groups.append((name, [index]))
            }
        }
        return groups
    }

    private static func limited(
        _ groups: [(layer: String, members: [Int])], _ limit: Int
    ) -> [(layer: String, members: [Int])] {
        guard groups.count > limit else { return groups }
        return groups.prefix(limit - 1) + [("others", groups.dropFirst(limit - 1).flatMap(\.members))]
    }
}

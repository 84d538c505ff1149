/// Named nodes with arrows between them.
public struct Graph: Equatable, Sendable {
    /// The nodes that each node points to.
    public let arrows: [String: Set<String>]

    /// A graph of these arrows; an arrow from a node to itself is dropped.
    public init(_ arrows: [String: Set<String>]) {
        var all = arrows
        for (node, ends) in arrows {
            all[node] = ends.subtracting([node])
            for end in ends where all[end] == nil {
                all[end] = []
            }
        }
        self.arrows = all
    }

    /// The circles that have no shortcut, each starting with its smallest name, in order.
    ///
    /// A circle with a shortcut contains a shorter circle, so a graph without these circles has
    /// none.
    public var circles: [[String]] {
        let found = arrows.keys.sorted().flatMap { circles(along: [$0]) }
        return found.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// The circles that continue a path through nodes larger than its first.
    private func circles(along path: [String]) -> [[String]] {
        guard let first = path.first, let last = path.last, let ends = arrows[last] else {
            return []
        }
        if ends.contains(first), path.count > 1 {
            return [path]
        }
        return ends.sorted().flatMap { next -> [[String]] in
            let isLarger = next > first && !path.contains(next)
            guard isLarger, !hasShortcut(path, to: next) else { return [] }
            return circles(along: path + [next])
        }
    }

    /// Whether an arrow other than the one from the last node of the path connects the path with
    /// `next`.
    private func hasShortcut(_ path: [String], to next: String) -> Bool {
        let isReached = path.dropLast().contains { arrows[$0]?.contains(next) == true }
        let turnsBack = path.dropFirst().contains { arrows[next]?.contains($0) == true }
        return isReached || turnsBack
    }

    /// The nodes from the bottom up: each level points only to lower levels, circles aside.
    public var levels: [[String]] {
        var levels: [String: Int] = [:]
        for node in arrows.keys.sorted() {
            _ = level(of: node, above: [], &levels)
        }
        let highest = levels.values.max() ?? -1
        return (0..<(highest + 1)).map { number in
            levels.filter { $0.value == number }.map(\.key).sorted()
        }.filter { !$0.isEmpty }
    }

    /// An arrow back to a node above closes a circle, and does not count.
    private func level(of node: String, above: Set<String>, _ known: inout [String: Int]) -> Int {
        if let number = known[node] {
            return number
        }
        let path = above.union([node])
        let below = (arrows[node] ?? []).subtracting(path).sorted()
        var highest: Int?
        for end in below {
            highest = max(highest ?? 0, level(of: end, above: path, &known))
        }
        let number = (highest ?? -1) + 1
        known[node] = number
        return number
    }
}

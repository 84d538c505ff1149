internal import CheckpointFormat

/// Tensors grouped by the layer in their names. Pure.
enum LayerGroups {
    /// The names of one layer.
    struct Group: Equatable {
        /// The components that they begin with.
        var layer: String
        /// Their positions.
        var members: [Int]
    }

    /// Groups names that begin with the same components, as many components as leave at most
    /// `limit` groups; what is beyond that goes into one more. The last component of a name
    /// (`weight`, `bias`) does not count.
    static func group(_ names: [String], limit: Int) -> [Group] {
        let parts = names.map { $0.split(separator: ".", omittingEmptySubsequences: false) }
        let deepest = parts.map { max($0.count - 1, 1) }.max() ?? 1
        for depth in (1...deepest).reversed() {
            let groups = grouped(parts, depth)
            if groups.count <= limit || depth == 1 { return limited(groups, limit) }
        }
        return []
    }

    private static func grouped(_ parts: [[Substring]], _ depth: Int) -> [Group] {
        var groups: [Group] = []
        var places: [ByteName: Int] = [:]
        for (index, components) in parts.enumerated() {
            let count = min(depth, max(components.count - 1, 1))
            let name = components.prefix(count).joined(separator: ".")
            if let place = places[ByteName(name)] {
                groups[place].members.append(index)
            } else {
                places[ByteName(name)] = groups.count
                groups.append(Group(layer: name, members: [index]))
            }
        }
        return groups
    }

    private static func limited(_ groups: [Group], _ limit: Int) -> [Group] {
        guard groups.count > limit else { return groups }
        let others = groups.dropFirst(limit - 1).flatMap(\.members)
        return groups.prefix(limit - 1) + [Group(layer: "others", members: others)]
    }
}

internal import CheckpointFormat

extension RankMesh {
    /// Returns the coordinates of a rank with the number of ranks along each axis, such as
    /// `dp0of2.tp3of4`: the same text on another mesh means the same place in the same topology.
    ///
    /// - Parameter rank: A rank of the mesh.
    /// - Throws: `ShardingError` if there is no such rank, or an axis has no name that can stand in
    ///   the name of an object.
    package func coordinates(of rank: Int) throws(ShardingError) -> String {
        var parts: [String] = []
        for name in names {
            guard !name.isEmpty, !name.contains("."), name.last?.isWholeNumber == false else {
                throw ShardingError(
                    .declaration,
                    "the axis \"\(name)\" cannot name state of a rank: its name must not be empty, "
                        + "contain a dot, or end with a digit")
            }
            let place = try place(of: rank, on: name)
            parts.append("\(name)\(place.index)of\(place.count)")
        }
        guard (0..<worldSize).contains(rank) else {
            throw ShardingError(.declaration, "the mesh of \(worldSize) ranks has no rank \(rank)")
        }
        return parts.isEmpty ? "0of1" : parts.joined(separator: ".")
    }

    /// Returns true if a text may be the coordinates of a rank of some mesh.
    ///
    /// - Parameter text: What follows the dot after an object's name.
    package static func areCoordinates(_ text: Substring) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
            let count = part.reversed().prefix(while: \.isWholeNumber).count
            let rest = part.dropLast(count)
            return count > 0 && rest.hasSuffix("of") && rest.dropLast(2).last?.isWholeNumber == true
        }
    }
}

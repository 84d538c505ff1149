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
        firstCoordinates(like: text) != nil
    }

    /// Returns the coordinates of the first rank of the mesh that a text may be coordinates of.
    ///
    /// - Parameter text: What follows the dot after an object's name.
    /// - Returns: Nil if the text cannot be coordinates.
    package static func firstCoordinates(like text: Substring) -> String? {
        var parts: [String] = []
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            let extent = part.reversed().prefix(while: \.isWholeNumber).count
            let rest = part.dropLast(extent)
            guard extent > 0, rest.hasSuffix("of") else { return nil }
            let place = rest.dropLast(2)
            let index = place.reversed().prefix(while: \.isWholeNumber).count
            guard index > 0 else { return nil }
            parts.append("\(place.dropLast(index))0of\(part.suffix(extent))")
        }
        return parts.joined(separator: ".")
    }
}

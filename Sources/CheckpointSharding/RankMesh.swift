internal import CheckpointFormat

/// The ranks of a run, arranged along named axes such as `dp` and `tp`.
public struct RankMesh: Hashable, Sendable {
    /// Names of the axes; neighbours on the last axis have consecutive ranks.
    public let names: [String]
    /// Number of ranks along each axis.
    public let counts: [Int]

    /// Creates a mesh, such as `RankMesh(["dp": 2, "tp": 4])` for 8 ranks: ranks 0 to 3 have
    /// coordinate 0 on `dp`.
    ///
    /// - Parameter axes: Name and number of ranks of each axis, slowest first; empty for one rank.
    /// - Throws: `ShardingError` if a name occurs twice, a number is less than 1, or the ranks are
    ///   more than `worldSizeMax`.
    public init(_ axes: KeyValuePairs<String, Int>) throws(ShardingError) {
        names = axes.map(\.key)
        counts = axes.map(\.value)
        guard Set(names).count == names.count else {
            throw ShardingError(.declaration, "two axes of a mesh have the same name: \(names)")
        }
        guard let ranks = TensorShape.elementCount(counts),
            (1...Limits.worldSizeMax).contains(ranks)
        else {
            throw ShardingError(
                .declaration,
                "a mesh of \(counts) must have 1 to \(Limits.worldSizeMax) ranks")
        }
    }

    /// Number of ranks.
    public var worldSize: Int { counts.reduce(1, *) }

    /// Returns the place of a rank on an axis.
    ///
    /// - Parameters:
    ///   - rank: A rank of the mesh.
    ///   - name: Name of the axis.
    /// - Returns: The coordinate, from 0, and the number of ranks along the axis.
    /// - Throws: `ShardingError` if there is no such rank or axis.
    public func place(
        of rank: Int, on name: String
    ) throws(ShardingError) -> (index: Int, count: Int) {
        guard let axis = names.firstIndex(of: name) else {
            let known = names.joined(separator: ", ")
            throw ShardingError(.declaration, "the mesh has no axis \(name); its axes are \(known)")
        }
        guard (0..<worldSize).contains(rank) else {
            throw ShardingError(.declaration, "the mesh of \(worldSize) ranks has no rank \(rank)")
        }
        return (rank / counts[(axis + 1)...].reduce(1, *) % counts[axis], counts[axis])
    }

    /// Returns the ranks that have the same coordinates as a rank, except on some axes.
    ///
    /// - Parameters:
    ///   - rank: A rank of the mesh.
    ///   - axes: Numbers of the axes along which they may differ.
    /// - Returns: The ranks, ascending; `rank` is one of them.
    func neighbors(of rank: Int, along axes: [Int]) -> [Int] {
        var ranks = [rank]
        for axis in axes {
            let step = counts[(axis + 1)...].reduce(1, *)
            ranks = ranks.flatMap { rank in
                let first = rank - rank / step % counts[axis] * step
                return (0..<counts[axis]).map { first + $0 * step }
            }
        }
        return ranks.sorted()
    }
}

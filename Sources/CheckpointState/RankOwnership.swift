internal import CheckpointFormat
internal import CheckpointSharding

/// The ownership of an object by one rank.
package struct RankOwnership {
    /// Full name of the first rank's object, from which those for another mesh are made.
    package var name: String
    /// The rank, and the number of ranks of its mesh.
    package let rank: Int
    package let worldSize: Int
    /// Decodes the bytes of the first rank's object and installs this rank's value; nil if a
    /// restore on another mesh must not do so.
    package var restoreFirst: ((_ bytes: [UInt8]) throws -> Void)?

    package init(
        name: String, rank: Int, of worldSize: Int,
        restoreFirst: ((_ bytes: [UInt8]) throws -> Void)? = nil
    ) {
        (self.name, self.rank, self.worldSize) = (name, rank, worldSize)
        self.restoreFirst = restoreFirst
    }

    /// Returns true if an object is that of some rank of some mesh.
    ///
    /// - Parameter other: full name of an object.
    package func includes(_ other: String) -> Bool {
        guard other.utf8.starts(with: "\(name).".utf8) else { return false }
        return RankMesh.areCoordinates(Substring(other.utf8.dropFirst(name.utf8.count + 1)))
    }

    /// Returns true if an object is that of some rank of some mesh: its name is that of another
    /// object, which the first rank has, with coordinates.
    ///
    /// - Parameters:
    ///   - name: full name of the object.
    ///   - known: the names of all objects of the checkpoint, in bytes.
    package static func isOfSomeRank(_ name: String, _ known: Set<[UInt8]>) -> Bool {
        name.utf8.indices.contains { index in
            name.utf8[index] == UInt8(ascii: ".") && known.contains(Array(name.utf8[..<index]))
                && RankMesh.areCoordinates(name[name.utf8.index(after: index)...])
        }
    }
}

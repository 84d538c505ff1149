package import CheckpointFormat
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
    /// object with coordinates, and that object is a copy of the first rank's.
    ///
    /// - Parameters:
    ///   - object: an object of a checkpoint.
    ///   - all: all of its objects, by name.
    package static func isOfSomeRank(
        _ object: ObjectRecord, among all: [ByteName: ObjectRecord]
    ) -> Bool {
        let name = object.name
        return name.utf8.indices.contains { index in
            guard name.utf8[index] == UInt8(ascii: "."),
                let plain = all[ByteName(name[..<index])],
                let coordinates = RankMesh.firstCoordinates(
                    like: name[name.utf8.index(after: index)...]),
                let first = all[ByteName("\(plain.name).\(coordinates)")]
            else { return false }
            return first.bytes == plain.bytes && first.encoding == plain.encoding
        }
    }
}

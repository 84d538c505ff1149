internal import CheckpointFormat

/// The comparison of what several ranks hold of the same elements.
package struct ReplicaComparison: Equatable, Sendable {
    /// Bytes that were compared with those of the rank that has saved them.
    package private(set) var bytes = 0
    /// In the order of tensors and ranks.
    package private(set) var differences: [ReplicaDifference] = []

    package init() {}

    /// Compares the content of two ranks.
    ///
    /// - Parameters:
    ///   - content: sizes and hashes of what a rank holds.
    ///   - rank: the rank.
    ///   - saved: the rank that has saved the same elements, and its content; nil if none has.
    ///   - tensor: name of the tensor.
    ///   - elements: the elements, for people.
    mutating func compare(
        _ content: [CopyRecord.Chunk], of rank: Int,
        with saved: (rank: Int, content: [CopyRecord.Chunk])?, tensor: String, elements: String
    ) {
        let byteCount = content.reduce(0) { $0 + $1.bytes }
        bytes += byteCount
        guard let kind = Self.difference(content, saved?.content) else { return }
        differences.append(
            ReplicaDifference(
                tensor: tensor, elements: elements, byteCount: byteCount, rank: rank,
                owner: saved?.rank, kind: kind))
    }

    private static func difference(
        _ content: [CopyRecord.Chunk], _ saved: [CopyRecord.Chunk]?
    ) -> ReplicaDifference.Kind? {
        guard let saved else { return .notSaved }
        guard content != saved else { return nil }
        guard content.map(\.bytes) == saved.map(\.bytes) else { return .chunkSizes }
        var (ranges, end) = ([Range<Int>](), 0)
        for (own, other) in zip(content, saved) {
            let start = end
            end += own.bytes
            guard own.hash != other.hash else { continue }
            if ranges.last?.upperBound == start {
                ranges.append(ranges.removeLast().lowerBound..<end)
            } else {
                ranges.append(start..<end)
            }
        }
        return .bytes(ranges)
    }

    /// The failure of a save whose ranks differ: the first difference, and the names of all tensors
    /// that have one; nil if there is none.
    var error: CheckpointError? {
        guard var error = differences.first?.error else { return nil }
        var names: [String] = []
        for difference in differences where names.last != difference.tensor {
            names.append(difference.tensor)
        }
        error.names = names
        return error
    }
}

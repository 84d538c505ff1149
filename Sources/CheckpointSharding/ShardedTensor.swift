package import CheckpointFormat

/// A tensor of the global index: its regions, and the ranks that hold each.
package struct ShardedTensor: Hashable, Sendable {
    /// A rank's copy of a region.
    package struct Holder: Hashable, Sendable {
        package var rank: Int
        /// The region, and its place in the rank's memory.
        package var piece: ShardPiece
    }

    /// A regular part of the tensor that some ranks hold completely.
    package struct Region: Hashable, Sendable {
        /// Positions in the tensor, in normal form.
        package let elements: StridedElements
        /// One copy per rank, by rank.
        package let holders: [Holder]
        /// Index in `holders` of the copy that is saved.
        private var ownerIndex = 0

        /// The copy that is saved.
        package var owner: Holder { holders[ownerIndex] }
        /// Ranks of the copies that are not saved, ascending.
        package var replicas: [Int] {
            holders.indices.filter { $0 != ownerIndex }.map { holders[$0].rank }
        }

        init(elements: StridedElements, holders: [Holder]) {
            self.elements = elements
            self.holders = holders
        }

        /// Lets a rank save the region, one of its holders.
        mutating func choose(_ rank: Int) {
            ownerIndex = holders.firstIndex { $0.rank == rank } ?? ownerIndex
        }
    }

    package let name: String
    package let type: ElementType
    package let shape: [Int]
    /// The regions, which cover every element of the tensor once, by their first position.
    package internal(set) var regions: [Region]

    /// Joins the claims of all ranks. The owner of every region is its lowest rank.
    ///
    /// - Parameter claims: Claims of one tensor; at least one.
    /// - Throws: `ShardingError` if a claim is impossible, ranks disagree on type or shape, or
    ///   the pieces do not cover the tensor: pieces of several ranks must be equal or disjoint.
    package init(_ claims: [TensorClaim]) throws(ShardingError) {
        let first = claims[0]
        (name, type, shape) = (first.name, first.type, first.shape)
        for claim in claims {
            try claim.check()
            guard claim.type == type, claim.shape == shape else {
                throw ShardingError(
                    .disagreement,
                    "it is \(type) \(shape) on rank \(first.rank) and \(claim.type)"
                        + " \(claim.shape) on rank \(claim.rank)",
                    tensor: name, ranks: [first.rank, claim.rank].sorted())
            }
        }
        var holders: [StridedElements: [Holder]] = [:]
        for claim in claims {
            for piece in claim.pieces {
                holders[piece.elements.normalized, default: []].append(
                    Holder(rank: claim.rank, piece: piece))
            }
        }
        regions = holders.map { Region(elements: $0.key, holders: Self.onePerRank($0.value)) }
        let places = regions.indices.sorted { regions[$0].isBefore(regions[$1]) }
        regions = places.map { regions[$0] }
        try checkCover()
    }

    /// Returns the first copy of each rank, by rank. A rank may hold a region twice, as when
    /// several of its heads share their keys.
    private static func onePerRank(_ holders: [Holder]) -> [Holder] {
        guard holders.count > 1 else { return holders }
        var seen: Set<Int> = []
        return holders.sorted {
            ($0.rank, $0.piece.localOffset) < ($1.rank, $1.piece.localOffset)
        }.filter { seen.insert($0.rank).inserted }
    }

    private func checkCover() throws(ShardingError) {
        switch ElementCover.fault(regions.map(\.elements), in: shape) {
        case nil: return
        case .hole(let elements):
            throw ShardingError(
                .hole, "no rank has \(elements.text(in: shape)) of shape \(shape)", tensor: name)
        case .overlap(let elements, let a, let b):
            let ranks = Set((regions[a].holders + regions[b].holders).map(\.rank)).sorted()
            throw ShardingError(
                .overlap,
                "\(elements.text(in: shape)) of \(shape) is in two pieces that differ: one of"
                    + " \(Self.text(regions[a])) and one of \(Self.text(regions[b]))",
                tensor: name, ranks: ranks)
        case .irregular:
            throw ShardingError(
                .irregular, "the strides of its pieces are too irregular to check",
                tensor: name)
        }
    }

    private static func text(_ region: Region) -> String {
        let ranks = region.holders.map { "\($0.rank)" }
        let shown = ranks.prefix(8).joined(separator: ", ")
        return (ranks.count == 1 ? "rank " : "ranks ") + shown + (ranks.count > 8 ? ", ..." : "")
    }

    /// Returns the pieces that a rank saves.
    package func saved(by rank: Int) -> [ShardPiece] {
        regions.map(\.owner).filter { $0.rank == rank }.map(\.piece)
    }
}

extension ShardedTensor.Region {
    /// Orders regions of one tensor; they differ.
    func isBefore(_ other: Self) -> Bool {
        guard elements.offset == other.elements.offset else {
            return elements.offset < other.elements.offset
        }
        return elements.dimensions.lexicographicallyPrecedes(other.elements.dimensions) {
            ($0.count, $0.stride) < ($1.count, $1.stride)
        }
    }
}

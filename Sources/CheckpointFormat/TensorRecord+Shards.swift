extension TensorRecord {
    /// A reason why the shards of a tensor are impossible.
    package enum ShardFault: Equatable, Sendable {
        /// No shard has some elements.
        case hole(String)
        /// Anything else.
        case impossible(String)

        package var text: String {
            switch self {
            case .hole(let text), .impossible(let text): text
            }
        }
    }

    /// Checks that the shards lie in the tensor, split no byte, do not overlap and, if they are
    /// all, that they have every element: Formats/manifest.md. Writers check what readers refuse.
    ///
    /// - Parameter isComplete: whether the shards are those of the only rank.
    /// - Returns: nil if the shards are possible.
    package func shardFault(isComplete: Bool) -> ShardFault? {
        guard shards.count <= 1 || !shape.contains(0) else {
            return .impossible("an empty tensor has several shards")
        }
        guard shards.count <= Limits.worldSizeMax else {
            return .impossible("it has \(shards.count) shards; at most \(Limits.worldSizeMax)")
        }
        for (index, shard) in shards.enumerated() {
            if let fault = fault(of: shard.region, "shard \(index)") { return .impossible(fault) }
        }
        // Most tensors are one shard.
        if shards.count == 1, shards[0].region.box?.extent == shape { return nil }
        var (sets, shardOfSet) = ([StridedElements](), [Int]())
        for (index, shard) in shards.enumerated() {
            for piece in shard.region.pieces(in: shape) {
                sets.append(piece.elements)
                shardOfSet.append(index)
            }
        }
        if hasTooManyRuns(sets) {
            return .impossible("its shards have more than \(Limits.runsPerTensorMax) runs")
        }
        switch ElementCover.fault(sets, in: shape, allowsHoles: !isComplete) {
        case nil: return nil
        case .overlap(let elements, let a, let b):
            return .impossible(
                "shards \(shardOfSet[a]) and \(shardOfSet[b]) both have "
                    + elements.text(in: shape))
        case .hole(let elements):
            return .hole("no shard of \(name) has \(elements.text(in: shape))")
        case .irregular: return .impossible("its pieces have too many runs")
        }
    }

    /// Says why a region does not lie in the tensor, or cuts a byte; nil if it is possible.
    func fault(of region: ShardRegion, _ what: String) -> String? {
        guard let box = region.box else {
            return type.elementsPerUnit == 1 ? nil : "\(what) of packed \(type) is not a box"
        }
        guard box.lies(inside: shape) else { return "\(what) is outside shape \(shape)" }
        guard TensorShape.isWholeBytes(box, of: shape, type) else {
            return "\(what) of \(shape) splits a byte of \(type)"
        }
        return nil
    }

    /// Returns true if the shards of a tensor with pieces have more than `runsPerTensorMax` runs.
    private func hasTooManyRuns(_ sets: [StridedElements]) -> Bool {
        guard shards.contains(where: { $0.region.box == nil }) else { return false }
        var runs = 0
        for set in sets {
            // The sum of two counts of elements of one tensor does not overflow.
            runs = min(runs, Limits.runsPerTensorMax) + set.runCount
        }
        return runs > Limits.runsPerTensorMax
    }
}

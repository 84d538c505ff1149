/// The rectangular part of a tensor that one rank holds.
package struct ShardDescriptor: Hashable, Sendable {
    /// First index held, per dimension.
    package var offset: [Int]
    /// Number of indices held, per dimension.
    package var extent: [Int]

    /// Creates a shard.
    ///
    /// - Parameters:
    ///   - offset: First index held, per dimension.
    ///   - extent: Number of indices held, per dimension.
    package init(offset: [Int], extent: [Int]) {
        self.offset = offset
        self.extent = extent
    }

    /// Creates the shard that is the full tensor of this shape.
    package init(whole shape: [Int]) { self.init(offset: shape.map { _ in 0 }, extent: shape) }

    /// Returns true if the shard is within a tensor of this shape and has the same number of
    /// dimensions.
    package func lies(inside shape: [Int]) -> Bool {
        guard offset.count == shape.count, extent.count == shape.count else { return false }
        return shape.indices.allSatisfy {
            offset[$0] >= 0 && extent[$0] >= 0 && offset[$0] <= shape[$0]
                && extent[$0] <= shape[$0] - offset[$0]
        }
    }

    /// Returns true if the two shards have an element in common. Both must have the same number of
    /// dimensions.
    package func overlaps(_ other: ShardDescriptor) -> Bool {
        offset.indices.allSatisfy {
            offset[$0] < other.offset[$0] + other.extent[$0]
                && other.offset[$0] < offset[$0] + extent[$0]
        } && !extent.contains(0) && !other.extent.contains(0)
    }
}

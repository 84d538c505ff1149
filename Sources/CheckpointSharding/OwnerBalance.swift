internal import CheckpointFormat

/// The choice of the rank that saves a region, among those that hold it (Formats/manifest.md,
/// Checkpoints of several ranks). Each holder finds the same owner from its own declarations,
/// without a message, as long as all of them declare the same regions.
package struct OwnerBalance {
    /// A part of a tensor that some ranks hold completely.
    package struct Region {
        package var tensor: String
        /// Number in the tensor of the region's first element.
        package var first: Int
        package var bytes: Int
        /// The ranks that hold it, ascending; at least one.
        package var holders: [Int]

        package init(tensor: String, first: Int, bytes: Int, holders: [Int]) {
            self.tensor = tensor
            self.first = first
            self.bytes = bytes
            self.holders = holders
        }

        /// Orders regions that differ in tensor or place: large ones first.
        fileprivate func precedes(_ other: Region) -> Bool {
            if bytes != other.bytes { return bytes > other.bytes }
            guard tensor.isSameName(as: other.tensor) else {
                return tensor.precedesName(other.tensor)
            }
            return first < other.first
        }
    }

    /// Bytes that each holder saves so far, by the set of holders.
    private var loads: [[Int]: [Int]] = [:]

    private init() {}

    /// Returns the owner of each region: of the regions with one set of holders, large ones first,
    /// each goes to the holder that has least to save so far, or to the lowest of those.
    ///
    /// - Parameter regions: the regions, in any order.
    /// - Returns: the owners' ranks, in the order of `regions`.
    package static func owners(of regions: [Region]) -> [Int] {
        var balance = OwnerBalance()
        var owners = regions.map { $0.holders[0] }
        let shared = regions.indices.filter { regions[$0].holders.count > 1 }
        for index in shared.sorted(by: { regions[$0].precedes(regions[$1]) }) {
            owners[index] = balance.assign(regions[index])
        }
        return owners
    }

    private mutating func assign(_ region: Region) -> Int {
        let holders = region.holders
        var loads = loads.removeValue(forKey: holders) ?? holders.map { _ in 0 }
        let lightest = loads.indices.min { loads[$0] < loads[$1] } ?? 0
        loads[lightest] += region.bytes
        self.loads[holders] = loads
        return holders[lightest]
    }
}

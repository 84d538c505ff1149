/// The choice of the rank that saves a region, among those that hold it.
struct OwnerBalance {
    /// Bytes that each rank saves so far.
    private var loads: [Int: Int] = [:]

    /// Chooses the owners: large regions first, each by the rank that has least to save so far, or
    /// by the lowest of those. Regions that only one rank holds count from the start.
    mutating func assign(_ tensors: inout [ShardedTensor]) {
        var shared: [(bytes: Int, tensor: Int, region: Int)] = []
        for tensor in tensors.indices {
            for (index, region) in tensors[tensor].regions.enumerated() {
                let bytes = tensors[tensor].bytes(of: region)
                if region.holders.count == 1 {
                    loads[region.owner.rank, default: 0] += bytes
                } else {
                    shared.append((bytes, tensor, index))
                }
            }
        }
        shared.sort { ($1.bytes, $0.tensor, $0.region) < ($0.bytes, $1.tensor, $1.region) }
        for item in shared {
            let holders = tensors[item.tensor].regions[item.region].holders
            let lightest = holders.indices.min {
                let (a, b) = (holders[$0].rank, holders[$1].rank)
                return (loads[a] ?? 0, a) < (loads[b] ?? 0, b)
            }
            guard let lightest else { continue }
            tensors[item.tensor].regions[item.region].ownerIndex = lightest
            loads[holders[lightest].rank, default: 0] += item.bytes
        }
    }
}

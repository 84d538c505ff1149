internal import CheckpointFormat

/// The tensors of all ranks: which rank holds which part of each, and which one saves it. It does
/// not depend on the order in which the ranks report.
package struct TensorIndex: Hashable, Sendable {
    /// The tensors, by the bytes of their names.
    package private(set) var tensors: [ShardedTensor]

    /// Joins the claims of all ranks, and chooses the owner of each region so that its holders
    /// save about equally many bytes.
    ///
    /// - Parameter claims: The claims, in any order.
    /// - Throws: `ShardingError`; the tensor and the ranks are named.
    package init(_ claims: [TensorClaim]) throws(ShardingError) {
        let groups = Dictionary(grouping: claims) { ByteName($0.name) }
        tensors = []
        for name in groups.keys.sorted() {
            let group = (groups[name] ?? []).sorted { $0.rank < $1.rank }
            tensors.append(try ShardedTensor(group))
        }
        chooseOwners()
    }

    private mutating func chooseOwners() {
        let places = tensors.indices.flatMap { tensor in
            tensors[tensor].regions.indices.map { (tensor: tensor, region: $0) }
        }
        let owners = OwnerBalance.owners(
            of: places.map { place in
                let tensor = tensors[place.tensor]
                let region = tensor.regions[place.region]
                return OwnerBalance.Region(
                    tensor: tensor.name, first: region.elements.offset,
                    bytes: tensor.bytes(of: region), holders: region.holders.map(\.rank))
            })
        for (place, owner) in zip(places, owners) {
            tensors[place.tensor].regions[place.region].choose(owner)
        }
    }

    /// Returns the number of bytes that each rank saves.
    package var savedBytes: [Int: Int] {
        var bytes: [Int: Int] = [:]
        for tensor in tensors {
            for region in tensor.regions {
                bytes[region.owner.rank, default: 0] += tensor.bytes(of: region)
            }
        }
        return bytes
    }
}

extension ShardedTensor {
    /// Returns the size of a region.
    func bytes(of region: Region) -> Int {
        // The tensor is larger, and its size does not overflow.
        TensorShape.byteCount([region.elements.count], type) ?? 0
    }
}

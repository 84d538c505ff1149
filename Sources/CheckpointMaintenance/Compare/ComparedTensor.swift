internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointState
internal import CheckpointStorage

/// A tensor to compare, in a checkpoint or in lent memory.
struct ComparedTensor {
    enum Content {
        case shards([(region: ShardRegion, extents: [ChunkExtent])])
        case view(TensorView)
    }

    let name: String
    let form: CheckpointComparison.Form
    let content: Content

    /// Size of all elements in bytes.
    var byteCount: Int { TensorShape.byteCount(form.shape, form.type) ?? 0 }

    /// Returns the pairs of shards to compare, which cover each element once. Two tensors with the
    /// same sharding are compared shard by shard.
    ///
    /// - Parameter other: the tensor of the second side, of the same form.
    func pairs(with other: ComparedTensor) -> [ComparedPair] {
        guard case .shards(let own) = content else { preconditionFailure("lent tensors are the second side") }
        switch other.content {
        case .shards(let others):
            guard own.map(\.region) != others.map(\.region) else {
                return zip(own, others).map {
                    ComparedPair(
                        before: .chunks($0.extents), after: .chunks($1.extents), overlap: nil)
                }
            }
            return own.flatMap { old in
                others.compactMap { new -> ComparedPair? in
                    let overlap = overlap(old.region, new.region)
                    guard !overlap.isEmpty else { return nil }
                    return ComparedPair(
                        before: .chunks(old.extents), after: .chunks(new.extents), overlap: overlap)
                }
            }
        case .view(let view):
            return own.map { shard in
                guard let box = shard.region.box else {
                    let overlap = overlap(shard.region, .box(ShardDescriptor(whole: form.shape)))
                    return ComparedPair(
                        before: .chunks(shard.extents), after: .view(view), overlap: overlap)
                }
                // It throws only for a part outside of the tensor.
                guard let part = try? view.part(box) else {
                    preconditionFailure("a shard of a manifest lies in its tensor")
                }
                return ComparedPair(before: .chunks(shard.extents), after: .view(part), overlap: nil)
            }
        }
    }

    private func overlap(_ old: ShardRegion, _ new: ShardRegion) -> [StridedCopy] {
        let others = new.pieces(in: form.shape)
        return old.pieces(in: form.shape).flatMap { piece in
            others.flatMap { PieceIntersection.copies(from: piece, to: $0) }
        }
    }
}

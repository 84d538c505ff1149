/// The content of a checkpoint of several ranks as one manifest, put together from its root and
/// some or all of its parts. Pure.
package struct RootAssembly {
    private let root: Manifest
    private var flat: Manifest
    /// Parts by rank, and the first chunk row of each.
    private var parts: [Int: (manifest: Manifest, firstChunk: Int)] = [:]

    /// Begins with a root and none of its parts.
    package init(_ root: Manifest) {
        self.root = root
        flat = root
        flat.root = nil
        (flat.worldSize, flat.rank) = (1, 0)
        for index in flat.objects.indices { flat.objects[index].rank = nil }
    }

    /// Adds the tables of a part.
    ///
    /// - Parameter part: The part, which must be one of this checkpoint.
    /// - Throws: Damage if it is not.
    package mutating func add(_ part: Manifest) throws(FormatError) {
        let offset = ManifestHeader.bytes
        guard part.kind == .part, part.name == root.name, part.id == root.id,
            part.store == root.store, part.worldSize == root.worldSize, parts[part.rank] == nil
        else { throw .damage(at: offset, "the part belongs to another checkpoint") }
        for group in part.groups where !root.groups.contains(group) {
            throw .damage(at: offset, "group \(group.name) differs from that of the checkpoint")
        }
        let (segments, blocks) = (flat.segments.count, flat.blocks.count)
        parts[part.rank] = (part, flat.chunks.count)
        flat.segments += part.segments
        flat.blocks += part.blocks.map { block in
            var block = block
            block.segment += segments
            block.base = block.base.map { $0 + blocks }
            return block
        }
        flat.chunks += part.chunks.map { chunk in
            var chunk = chunk
            chunk.block += blocks
            return chunk
        }
    }

    /// Returns the checkpoint as the manifest of one rank. Tensors have the shards of the rows
    /// given, and objects their chunks if the part that has them was added.
    ///
    /// - Parameters:
    ///   - rows: Rows of the index, in order, whose parts were added.
    ///   - whole: Rows of the tensors whose shards are all given: they must cover the tensor.
    /// - Throws: Damage if a part does not match the root or the index.
    package consuming func manifest(
        _ rows: [PartIndexRow], whole: [Int]
    ) throws(FormatError) -> Manifest {
        for row in rows { try add(row) }
        for tensor in whole { try checkCover(flat.tensors[tensor]) }
        for (index, object) in root.objects.enumerated() {
            guard let part = object.rank.flatMap({ parts[$0] }) else { continue }
            let held = part.manifest.objects.first { $0.name.isSameName(as: object.name) }
            guard let held, held.bytes == object.bytes, held.encoding == object.encoding else {
                throw .damage(
                    at: ManifestHeader.bytes,
                    "the part of rank \(object.rank ?? 0) lacks object \(object.name), "
                        + "or its size or encoding differs")
            }
            flat.objects[index].chunks = held.chunks.shifted(by: part.firstChunk)
        }
        return flat
    }

    private mutating func add(_ row: PartIndexRow) throws(FormatError) {
        let tensor = root.tensors[row.tensor]
        func fault(_ message: String) -> FormatError {
            .damage(
                at: ManifestHeader.bytes,
                "the part of rank \(row.rank) \(message) tensor \(tensor.name)")
        }
        guard let part = parts[row.rank] else { throw fault("was not read for") }
        guard row.record < part.manifest.tensors.count else { throw fault("lacks") }
        let record = part.manifest.tensors[row.record]
        guard record.name.isSameName(as: tensor.name), record.type == tensor.type,
            record.shape == tensor.shape, row.shard < record.shards.count
        else { throw fault("does not have the shard that the index lists for") }
        var shard = record.shards[row.shard]
        guard shard.region.ends(in: tensor.shape).map({ $0 == (row.first, row.last) }) ?? false
        else { throw fault("has a different shard than the index lists for") }
        shard.chunks = shard.chunks.shifted(by: part.firstChunk)
        shard.replicas = []
        flat.tensors[row.tensor].shards.append(shard)
    }

    private func checkCover(_ tensor: TensorRecord) throws(FormatError) {
        let sets = tensor.shards.flatMap { $0.region.pieces(in: tensor.shape).map(\.elements) }
        guard ElementCover.fault(sets, in: tensor.shape) == nil else {
            throw .damage(
                at: ManifestHeader.bytes,
                "the shards of tensor \(tensor.name) do not cover it, each element once")
        }
    }
}

extension Range<Int> {
    fileprivate func shifted(by distance: Int) -> Range<Int> {
        lowerBound + distance..<upperBound + distance
    }
}

extension ShardRegion {
    /// Returns the first and last position of a valid region; nil if it is empty.
    ///
    /// - Parameter shape: Shape of the tensor, in which the region lies.
    package func ends(in shape: [Int]) -> (first: Int, last: Int)? {
        let pieces = pieces(in: shape)
        guard let first = pieces.map(\.offset).min(),
            let last = pieces.map({ $0.offset + $0.elements.reach }).max()
        else { return nil }
        return (first, last)
    }
}

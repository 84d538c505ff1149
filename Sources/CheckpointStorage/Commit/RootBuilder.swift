internal import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO

/// The ranks that hold each region of a tensor, by the region's pieces in normal form.
package typealias RegionHolders = [[StridedElements]: [Int]]

/// The root of a checkpoint of several ranks, made from all parts. It finds what cannot be one
/// checkpoint: ranks that disagree, elements that no rank has, and copies that differ. Pure; the
/// same parts give the same bytes.
package struct RootBuilder {
    /// Elements of a tensor that one rank holds: a shard of its part, or a copy.
    private struct Held {
        var rank: Int
        /// The tensor in the part.
        var record: Int
        /// The shard of the tensor, if the rank has saved the elements; otherwise the copy.
        var number: Int
        var isSaved: Bool
        var region: ShardRegion
    }

    private let parts: [PartFiles.Loaded]
    private var root: Manifest
    private var tensorRows: [ByteName: Int] = [:]
    private var groupRows: [String: Int] = [:]
    private var held: [[Held]] = []
    private var objectRows: [ByteName: Int] = [:]

    /// Joins parts.
    ///
    /// - Parameter parts: the parts of all ranks, by rank, each valid by itself.
    /// - Throws: code `mismatch`; the message names tensors and ranks.
    package init(_ parts: [PartFiles.Loaded]) throws(CheckpointError) {
        self.parts = parts
        let first = parts[0].manifest
        root = first
        (root.kind, root.rank) = (.checkpoint, 0)
        (root.segments, root.blocks, root.chunks) = ([], [], [])
        (root.groups, root.tensors, root.objects) = ([], [], [])
        for (rank, part) in parts.enumerated() {
            guard part.manifest.id == first.id, part.manifest.name == first.name,
                part.manifest.store == first.store, part.manifest.worldSize == parts.count,
                part.manifest.rank == rank
            else { throw Self.mismatch("the part of rank \(rank) belongs to another save") }
            try addGroups(part.manifest)
            for (record, tensor) in part.manifest.tensors.enumerated() {
                try add(tensor, record, of: part.manifest)
            }
            for object in part.manifest.objects { try add(object, of: part.manifest) }
        }
    }

    private static func mismatch(
        _ message: String, remedy: String? = nil, names: [String] = []
    ) -> CheckpointError {
        CheckpointError(.mismatch, message, remedy: remedy, names: names)
    }

    private mutating func addGroups(_ part: Manifest) throws(CheckpointError) {
        for group in part.groups {
            guard let row = groupRows[group.name] else {
                groupRows[group.name] = root.groups.count
                root.groups.append(group)
                continue
            }
            let known = root.groups[row]
            guard known.epoch == group.epoch else {
                throw Self.mismatch(
                    "rank \(part.rank) has made \(group.epoch) updates of group \(group.name) and"
                        + " a lower rank has made \(known.epoch): they save different states",
                    remedy: "Save at the same step on all ranks")
            }
        }
    }

    private mutating func add(
        _ tensor: TensorRecord, _ record: Int, of part: Manifest
    ) throws(CheckpointError) {
        let group = part.groups[tensor.group].name
        let row: Int
        if let known = tensorRows[ByteName(tensor.name)] {
            row = known
        } else {
            row = root.tensors.count
            tensorRows[ByteName(tensor.name)] = row
            var new = tensor
            (new.shards, new.copies, new.group) = ([], [], groupRows[group] ?? 0)
            root.tensors.append(new)
            held.append([])
        }
        let known = root.tensors[row]
        guard known.type == tensor.type, known.shape == tensor.shape,
            root.groups[known.group].name == group
        else {
            throw Self.mismatch(
                "tensor \(tensor.name) is \(tensor.type) \(tensor.shape) in group \(group) on rank"
                    + " \(part.rank), and \(known.type) \(known.shape) in group"
                    + " \(root.groups[known.group].name) on a lower rank",
                names: [tensor.name])
        }
        for (regions, isSaved) in [
            (tensor.shards.map(\.region), true), (tensor.copies.map(\.region), false),
        ] {
            for (number, region) in regions.enumerated()
            where !region.pieces(in: tensor.shape).isEmpty {
                held[row].append(
                    Held(
                        rank: part.rank, record: record, number: number, isSaved: isSaved,
                        region: region))
            }
        }
    }

    private mutating func add(
        _ object: ObjectRecord, of part: Manifest
    ) throws(CheckpointError) {
        let name = ByteName(object.name)
        guard let row = objectRows[name], let rank = root.objects[row].rank else {
            objectRows[name] = root.objects.count
            var new = object
            (new.chunks, new.rank) = (0..<0, part.rank)
            root.objects.append(new)
            return
        }
        let other = parts[rank].manifest
        let known = other.objects.first { $0.name.isSameName(as: object.name) }
        guard let known, known.encoding == object.encoding,
            Self.content(known.chunks, other) == Self.content(object.chunks, part)
        else {
            throw Self.mismatch(
                "object \(object.name) has different bytes on ranks \(rank) and \(part.rank)",
                remedy: "If each rank has its own, such as a random generator, describe it with "
                    + "RankObjectState",
                names: [object.name])
        }
    }

    /// Sizes and hashes of chunks.
    private static func content(_ chunks: Range<Int>, _ part: Manifest) -> [CopyRecord.Chunk] {
        part.chunks[chunks].map { CopyRecord.Chunk(bytes: $0.bytes, hash: $0.hash) }
    }

    private func content(_ held: Held) -> [CopyRecord.Chunk] {
        let part = parts[held.rank].manifest
        let tensor = part.tensors[held.record]
        return held.isSaved
            ? Self.content(tensor.shards[held.number].chunks, part)
            : tensor.copies[held.number].chunks
    }

    /// Checks the shards of every tensor, and makes the root.
    ///
    /// - Returns: the root's manifest, and the bytes of its index.
    /// - Throws: code `mismatch`; the message names tensors and ranks.
    package consuming func build() throws(CheckpointError) -> (root: Manifest, index: [UInt8]) {
        if let error = comparedReplicas().error { throw error }
        var rows: [PartIndexRow] = []
        for (row, tensor) in root.tensors.enumerated() {
            let saved = saved(tensor, held[row])
            try checkCover(tensor, saved)
            for held in saved {
                guard let ends = held.region.ends(in: tensor.shape) else { continue }
                rows.append(
                    PartIndexRow(
                        first: ends.first, last: ends.last, tensor: row, rank: held.rank,
                        record: held.record, shard: held.number))
            }
        }
        rows.sort()
        guard rows.count <= Limits.partIndexRowsMax else {
            throw Self.mismatch(
                "the checkpoint has \(rows.count) shards; at most \(Limits.partIndexRowsMax)")
        }
        let (index, bytes) = PartIndex.encoded(rows, digest: Hashing.digest)
        root.root = RootRecord(
            parts: parts.map { RootRecord.Part(hash: $0.hash, bytes: $0.bytes) }, index: index)
        return (root, bytes)
    }

    /// Elements in normal form: equal for the same elements, however they are described.
    private typealias Elements = [StridedElements]

    private func elements(_ held: Held, of tensor: TensorRecord) -> Elements {
        held.region.pieces(in: tensor.shape).map(\.elements.normalized)
    }

    /// Returns the saved shards of a tensor. If several ranks have saved the same elements, only
    /// the shard of the lowest rank is returned.
    private func saved(_ tensor: TensorRecord, _ held: [Held]) -> [Held] {
        var seen: Set<Elements> = []
        return held.filter { $0.isSaved && seen.insert(elements($0, of: tensor)).inserted }
    }

    /// Returns which ranks hold what: by the tensors' names, the ranks of each region that one has
    /// saved or copied, ascending.
    package func holders() -> [ByteName: RegionHolders] {
        var holders: [ByteName: RegionHolders] = [:]
        for (tensor, held) in zip(root.tensors, held) {
            var ranks = RegionHolders()
            // By rank, as the parts are.
            for held in held { ranks[elements(held, of: tensor), default: []].append(held.rank) }
            holders[ByteName(tensor.name)] = ranks
        }
        return holders
    }

    /// Compares what several ranks hold of the same elements.
    package func comparedReplicas() -> ReplicaComparison {
        var comparison = ReplicaComparison()
        for (tensor, held) in zip(root.tensors, held)
        where held.count > 1 || held.first?.isSaved == false {
            compare(tensor, held, &comparison)
        }
        return comparison
    }

    private func compare(
        _ tensor: TensorRecord, _ held: [Held], _ comparison: inout ReplicaComparison
    ) {
        var owners: [Elements: Held] = [:]
        for owner in saved(tensor, held) { owners[elements(owner, of: tensor)] = owner }
        for held in held {
            let place = elements(held, of: tensor)
            let owner = owners[place]
            if held.isSaved, owner?.rank == held.rank { continue }
            comparison.compare(
                content(held), of: held.rank, with: owner.map { ($0.rank, content($0)) },
                tensor: tensor.name, elements: place[0].text(in: tensor.shape))
        }
    }

    private func checkCover(
        _ tensor: TensorRecord, _ shards: [Held]
    ) throws(CheckpointError) {
        var (sets, ranks) = ([StridedElements](), [Int]())
        for held in shards {
            for piece in held.region.pieces(in: tensor.shape) {
                sets.append(piece.elements)
                ranks.append(held.rank)
            }
        }
        switch ElementCover.fault(sets, in: tensor.shape) {
        case nil: return
        case .hole(let elements):
            throw Self.mismatch(
                "no rank has saved \(elements.text(in: tensor.shape)) of tensor \(tensor.name),"
                    + " which has shape \(tensor.shape)", names: [tensor.name])
        case .overlap(let elements, let a, let b):
            throw Self.mismatch(
                "ranks \(ranks[a]) and \(ranks[b]) both have"
                    + " \(elements.text(in: tensor.shape)) of tensor \(tensor.name), in shards that"
                    + " differ", names: [tensor.name])
        case .irregular:
            throw Self.mismatch(
                "the shards of tensor \(tensor.name) are too irregular to check",
                names: [tensor.name])
        }
    }
}

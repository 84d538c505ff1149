internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO

/// The root of a checkpoint of several ranks, made from all parts. It finds what cannot be one
/// checkpoint: ranks that disagree, elements that no rank has, and copies that differ. Pure; the
/// same parts give the same bytes.
package struct RootBuilder {
    /// A shard of one part.
    private struct Held {
        var rank: Int
        var record: Int
        var number: Int
        var shard: ShardRecord
    }

    private let parts: [PartFiles.Loaded]
    private var root: Manifest
    private var tensorRows: [[UInt8]: Int] = [:]
    private var groupRows: [String: Int] = [:]
    private var shards: [[Held]] = []
    private var objectRows: [[UInt8]: Int] = [:]

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
                        + " a rank before it \(known.epoch): they save different states",
                    remedy: "Save at the same step on all ranks")
            }
        }
    }

    private mutating func add(
        _ tensor: TensorRecord, _ record: Int, of part: Manifest
    ) throws(CheckpointError) {
        let group = part.groups[tensor.group].name
        let row: Int
        if let known = tensorRows[Array(tensor.name.utf8)] {
            row = known
        } else {
            row = root.tensors.count
            tensorRows[Array(tensor.name.utf8)] = row
            var new = tensor
            (new.shards, new.group) = ([], groupRows[group] ?? 0)
            root.tensors.append(new)
            shards.append([])
        }
        let known = root.tensors[row]
        guard known.type == tensor.type, known.shape == tensor.shape,
            root.groups[known.group].name == group
        else {
            throw Self.mismatch(
                "tensor \(tensor.name) is \(tensor.type) \(tensor.shape) in group \(group) on rank"
                    + " \(part.rank), and \(known.type) \(known.shape) in group"
                    + " \(root.groups[known.group].name) on a rank before it",
                names: [tensor.name])
        }
        for (number, shard) in tensor.shards.enumerated()
        where !shard.region.pieces(in: tensor.shape).isEmpty {
            shards[row].append(
                Held(rank: part.rank, record: record, number: number, shard: shard))
        }
    }

    private mutating func add(
        _ object: ObjectRecord, of part: Manifest
    ) throws(CheckpointError) {
        let name = Array(object.name.utf8)
        guard let row = objectRows[name], let rank = root.objects[row].rank else {
            objectRows[name] = root.objects.count
            var new = object
            (new.chunks, new.rank) = (0..<0, part.rank)
            root.objects.append(new)
            return
        }
        let other = parts[rank].manifest
        let known = other.objects.first { $0.name.utf8.elementsEqual(object.name.utf8) }
        guard let known, known.encoding == object.encoding,
            Self.content(known.chunks, other) == Self.content(object.chunks, part)
        else {
            throw Self.mismatch(
                "object \(object.name) has different bytes on ranks \(rank) and \(part.rank)",
                remedy: "Name what belongs to one rank after its coordinates, such as rng.dp0.tp1",
                names: [object.name])
        }
    }

    /// Sizes and hashes of chunks.
    private static func content(_ chunks: Range<Int>, _ part: Manifest) -> [[UInt128]] {
        part.chunks[chunks].map { [UInt128($0.bytes), $0.hash.rawValue] }
    }

    /// Checks the shards of every tensor, and makes the root.
    ///
    /// - Returns: the root's manifest, and the bytes of its index.
    /// - Throws: code `mismatch`; the message names tensors and ranks.
    package consuming func build() throws(CheckpointError) -> (root: Manifest, index: [UInt8]) {
        var rows: [PartIndexRow] = []
        for (row, tensor) in root.tensors.enumerated() {
            let owned = try owned(tensor, shards[row])
            try checkCover(tensor, owned)
            for held in owned {
                guard let ends = held.shard.region.ends(in: tensor.shape) else { continue }
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

    /// Returns one copy of each shard, that of the lowest rank, after comparing the others with it.
    private func owned(
        _ tensor: TensorRecord, _ shards: [Held]
    ) throws(CheckpointError) -> [Held] {
        var owned: [Held] = []
        var copies: [[StridedElements]: Int] = [:]
        for held in shards {
            let pieces = held.shard.region.pieces(in: tensor.shape)
            let place = pieces.map(\.elements.normalized)
            guard let first = copies[place] else {
                copies[place] = owned.count
                owned.append(held)
                continue
            }
            let other = owned[first]
            let (a, b) = (
                Self.content(other.shard.chunks, parts[other.rank].manifest),
                Self.content(held.shard.chunks, parts[held.rank].manifest)
            )
            guard a == b else {
                let isComparable = a.map { $0[0] } == b.map { $0[0] }
                throw Self.mismatch(
                    "ranks \(other.rank) and \(held.rank) both hold"
                        + " \(place[0].text(in: tensor.shape)) of tensor \(tensor.name), "
                        + (isComparable
                            ? "with different bytes" : "in chunks that cannot be compared"),
                    remedy: isComparable
                        ? "Its copies have diverged, or two tensors have one name"
                        : "Give all ranks the same chunk size", names: [tensor.name])
            }
        }
        return owned
    }

    private func checkCover(
        _ tensor: TensorRecord, _ shards: [Held]
    ) throws(CheckpointError) {
        var (sets, ranks) = ([StridedElements](), [Int]())
        for held in shards {
            for piece in held.shard.region.pieces(in: tensor.shape) {
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

internal import CheckpointFormat
package import CheckpointState

/// The comparison of a state with a checkpoint by names, types and shapes. Pure.
package struct RestoreMatch {
    /// Names of the tensors and objects of the state that the checkpoint lacks, tensors first.
    package private(set) var missing: [String] = []
    /// Names of the tensors and objects that the state lacks, tensors first.
    package private(set) var unexpected: [String] = []
    /// Names of the objects of a rank that are restored from those of the first rank, because the
    /// checkpoint was saved on another mesh.
    package private(set) var fromFirstRank: [String] = []
    /// Names of the objects that belong to other ranks.
    private var ofOtherRanks: [String] = []
    /// True if a missing object belongs to a rank, has no rule for another mesh, and the checkpoint
    /// has that object for other ranks.
    private var needsRule = false
    /// Tensors whose elements are converted to another type.
    package private(set) var converted: [ConvertedTensor] = []
    /// Tensors of both sides that differ in type or shape, with the difference.
    private var unlike: [(name: String, text: String)] = []
    /// True if one of them could be converted.
    private var canConvert = false
    /// Items of the state that the checkpoint has.
    package private(set) var tensors: [TensorItem] = []
    /// Number of the tensors that they are of.
    package private(set) var tensorCount = 0
    package private(set) var objects: [(item: ObjectItem, record: ObjectRecord)] = []

    /// Compares a state with a checkpoint, by names, types and shapes.
    ///
    /// - Parameters:
    ///   - inventory: the state.
    ///   - manifest: the checkpoint.
    ///   - pattern: only names that match count, on both sides; nil means all.
    ///   - types: whether floating-point types must be the same.
    package init(
        _ inventory: StateInventory, _ manifest: Manifest, _ pattern: NamePattern?,
        _ types: RestoreTypes
    ) {
        let records = Dictionary(
            manifest.tensors.map { (ByteName($0.name), $0) },
            uniquingKeysWith: { first, _ in first })
        var seen: Set<ByteName> = []
        for item in inventory.tensors where pattern?.matches(item.name) ?? true {
            // Shards of one tensor are compared once: they have the same type and shape.
            let isFirst = seen.insert(ByteName(item.name)).inserted
            guard let record = records[ByteName(item.name)] else {
                if isFirst { missing.append(item.name) }
                continue
            }
            tensors.append(item)
            guard isFirst else { continue }
            tensorCount += 1
            guard record.type != item.view.type || record.shape != item.shape else { continue }
            if record.shape == item.shape,
                FloatConversion(from: record.type, to: item.view.type) != nil
            {
                guard types == .exact else {
                    converted.append(
                        ConvertedTensor(name: item.name, from: record.type, to: item.view.type))
                    continue
                }
                canConvert = true
            }
            unlike.append(
                (
                    item.name,
                    "\(record.type) \(record.shape) in the checkpoint and \(item.view.type) \(item.shape) in the state"
                ))
        }
        unexpected = manifest.tensors.filter {
            !seen.contains(ByteName($0.name)) && pattern?.matches($0.name) ?? true
        }.map(\.name)
        matchObjects(inventory, manifest, pattern)
    }

    private mutating func matchObjects(
        _ inventory: StateInventory, _ manifest: Manifest, _ pattern: NamePattern?
    ) {
        let records = Dictionary(
            manifest.objects.map { (ByteName($0.name), $0) },
            uniquingKeysWith: { first, _ in first })
        var taken: Set<ByteName> = []
        for item in inventory.objects where pattern?.matches(item.name) ?? true {
            if let record = records[ByteName(item.name)] {
                taken.insert(ByteName(item.name))
                objects.append((item, record))
            } else if let rank = item.ownership, let restoreFirst = rank.restoreFirst,
                let record = records[ByteName(rank.name)]
            {
                taken.insert(ByteName(rank.name))
                var item = item
                item.restore = restoreFirst
                objects.append((item, record))
                fromFirstRank.append(item.name)
            } else {
                missing.append(item.name)
                needsRule =
                    needsRule
                    || item.ownership.map { rank in
                        rank.restoreFirst == nil && manifest.objects.contains {
                            $0.name.isSameName(as: rank.name) || rank.includes($0.name)
                        }
                    } ?? false
            }
        }
        // A rank does not describe the objects of other ranks: they are not unexpected.
        let owners = inventory.objects.compactMap(\.ownership)
        func isOfRank(_ name: String) -> Bool {
            owners.contains { $0.name.isSameName(as: name) || $0.includes(name) }
        }
        var others = manifest.objects.filter {
            !taken.contains(ByteName($0.name)) && pattern?.matches($0.name) ?? true
        }
        ofOtherRanks = others.map(\.name).filter(isOfRank)
        others.removeAll { isOfRank($0.name) }
        if let receiver = inventory.objectReceiver {
            // Those of other ranks would be saved as if they were this one's.
            others.removeAll { RankOwnership.isOfSomeRank($0, among: records) }
            objects += others.map { (receiver.item($0.name, $0.role, $0.encoding), $0) }
        } else {
            unexpected += others.map(\.name)
        }
    }

    /// Returns the error that lists every difference; nil if the two fit.
    ///
    /// - Parameters:
    ///   - mode: whether names that only one side has are differences.
    ///   - step: the checkpoint's step, for the message.
    package func mismatch(_ mode: RestoreMode, step: Int) -> CheckpointError? {
        let missing = mode == .partial ? [] : missing
        let unexpected = mode == .strict ? unexpected : []
        guard !missing.isEmpty || !unexpected.isEmpty || !unlike.isEmpty else { return nil }
        var parts: [String] = []
        if !missing.isEmpty {
            parts.append(
                "\(missing.count) missing from the checkpoint: " + Self.list(missing, withNearest))
        }
        if !unexpected.isEmpty {
            parts.append(
                "\(unexpected.count) only in the checkpoint: " + Self.list(unexpected) { $0 })
        }
        if !unlike.isEmpty {
            parts.append(
                "\(unlike.count) of a different type or shape: "
                    + Self.list(unlike) { "\($0.name) is \($0.text)" })
        }
        var remedy = "Describe the state as it was saved"
        if unlike.isEmpty { remedy += ", or restore with mode .partial (Python: strict=False)" }
        if needsRule, mode != .partial {
            remedy +=
                ", or say with onAnotherMesh what each rank restores after the mesh has changed"
        }
        if canConvert {
            remedy += ", or convert floating-point tensors with types .convertFloats"
            remedy += " (Python: convert=True)"
        }
        var error = CheckpointError(
            .mismatch,
            "the state does not fit the checkpoint of step \(step): "
                + parts.joined(separator: "; "),
            remedy: remedy, names: missing + unexpected + unlike.map(\.name))
        error.messageHasNames = true
        return error
    }

    private static let shownMax = 8

    private static func list<T>(_ items: [T], _ text: (T) -> String) -> String {
        let shown = items.prefix(shownMax).map(text).joined(separator: ", ")
        return items.count > shownMax ? "\(shown) and \(items.count - shownMax) more" : shown
    }

    /// Returns a missing name with the one in the checkpoint that it is most likely meant to be.
    private func withNearest(_ name: String) -> String {
        let pool = Array((unexpected + ofOtherRanks).prefix(2000))
        let lastPart = name.split(separator: ".").last.map(String.init) ?? name
        let candidates = pool.filter { $0.hasSuffix(lastPart) }
        let near = Nearest.byDistance(name, candidates.isEmpty ? pool : candidates, atMost: 1)
        return near.first.map { "\(name) (nearest: \($0))" } ?? name
    }
}

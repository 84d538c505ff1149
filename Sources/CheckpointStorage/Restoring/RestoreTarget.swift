internal import CheckpointFormat
internal import CheckpointState

/// The state that a restore fills, and how.
struct RestoreTarget {
    let inventory: StateInventory
    let pattern: NamePattern?
    let mode: RestoreMode
    let types: RestoreTypes
    let threads: Int
    let progress: @Sendable (Int) -> Void

    /// What is needed of a checkpoint of several ranks.
    var selection: PartFiles.Selection {
        var selection = PartFiles.Selection()
        selection.needsOtherObjects = inventory.objectReceiver != nil
        for item in inventory.tensors where pattern?.matches(item.name) ?? true {
            let name = ByteName(item.name)
            guard let shard = item.shard else {
                selection.tensors[name] = .whole
                continue
            }
            // Of several shards of one tensor all pieces are needed.
            if case .pieces(let pieces)? = selection.tensors[name] {
                selection.tensors[name] = .pieces(pieces + shard.pieces)
            } else {
                selection.tensors[name] = .pieces(shard.pieces)
            }
        }
        for item in inventory.objects where pattern?.matches(item.name) ?? true {
            let name = ByteName(item.name)
            selection.objects.insert(name)
            if let rank = item.ownership, rank.restoreFirst != nil {
                selection.substitutes[name] = ByteName(rank.name)
            }
        }
        return selection
    }

    init(
        _ provider: any StateProvider, _ pattern: NamePattern?, _ mode: RestoreMode,
        _ types: RestoreTypes, _ threads: Int,
        _ progress: @escaping @Sendable (Int) -> Void
    ) throws(CheckpointError) {
        guard threads >= 1 else {
            throw CheckpointError(.misuse, "threads must be at least 1 (got \(threads))")
        }
        inventory = try translating("describing the state") { try StateInventory(of: provider) }
        (self.pattern, self.mode, self.types) = (pattern, mode, types)
        (self.threads, self.progress) = (threads, progress)
    }
}

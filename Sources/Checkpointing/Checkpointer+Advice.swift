internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointState

/// Mistakes of a training loop that cost work later, each reported once.
extension Checkpointer {
    /// The run has checkpoints, and this restart begins without them.
    func adviseOnResuming() {
        guard state.withLock({ $0.isUnresumed && $0.isNew(.notResumed) }) else { return }
        observers.warn(
            "run \(runName) has checkpoints, but this process has not resumed from them: "
                + "its saves start a new branch. "
                + "Call resume() before training, or give options.run another name")
    }

    /// The memory of a tensor has another address than at the last save, as that of a Swift array
    /// that was copied. Looked for in checked mode only.
    func adviseOnMovedMemory(_ task: SaveTask) {
        guard options.capture == .checked else { return }
        let moved = state.withLock { $0.newlyMoved(task.inventory.tensors) }
        guard let first = moved.first else { return }
        let others = moved.count > 1 ? " and \(moved.count - 1) more" : ""
        observers.warn(
            "the memory of \(first)\(others) has moved since the last save. If it belongs to a "
                + "Swift array, saves read memory that has been freed: lend an OwnedTensor instead")
    }

    /// A permit is requested for a group that no tensor has.
    func adviseOnGroup(_ group: String?) {
        guard let group, state.withLock({ $0.isNewUnknown(group) }) else { return }
        let known = state.withLock { $0.groups ?? [] }.sorted().prefix(8).joined(separator: ", ")
        observers.warn(
            "no tensor has the group \(group), so mutate waits for the full state; "
                + "the groups are \(known)"
        )
    }
}

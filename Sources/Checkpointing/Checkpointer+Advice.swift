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

    /// The step of the optimizer is not that of the save.
    ///
    /// - Parameter task: the first save after the start or a resume; objects are frozen.
    func adviseOnSteps(_ task: SaveTask) {
        guard state.withLock({ $0.isNew(.stepsDiffer) }) else { return }
        for (item, freeze) in zip(task.inventory.objects, task.frozenObjects)
        where item.role == .optimizer && (item.name == "step" || item.name.hasSuffix(".step")) {
            // An encoding that fails fails the save, which reports it.
            guard let bytes = try? freeze(), let step = Int(String(decoding: bytes, as: UTF8.self)),
                step != task.ticket.step
            else { continue }
            observers.warn(
                "save(step: \(task.ticket.step)) does not match \(item.name), which is \(step): "
                    + "a resumed run would continue there. Pass the number of completed updates")
        }
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

internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage

/// The capture plan of the last save, kept as long as the state has the same layout.
final class CapturePlanCache: Sendable {
    private let options: CheckpointerOptions
    private let planned = Monitor<PlannedState?>(nil)

    init(_ options: CheckpointerOptions) { self.options = options }

    /// Returns the plan for a state; checks the names of a new layout.
    ///
    /// - Parameters:
    ///   - fenceOrder: groups in the order in which they will be mutated.
    ///   - areNamesChecked: whether the caller has checked the names.
    /// - Throws: `StateError` for names that are empty, too long, or not unique.
    func plan(for inventory: StateInventory, fenceOrder: [String], areNamesChecked: Bool) throws
        -> PlannedState
    {
        let key = PlanKey(inventory, fenceOrder)
        if let planned = planned.withLock({ $0 }), planned.key == key { return planned }
        if !areNamesChecked { try inventory.checkNames() }
        let casts = CastSources(options.dropsCasts ? inventory.tensors : [])
        let tensors = inventory.tensors.enumerated().map { index, tensor in
            CapturePlan.Tensor(
                group: tensor.group, bytes: tensor.view.byteCount, lane: tensor.view.memory.lane,
                isHalf: !casts[index].isEmpty)
        }
        let plan = CapturePlan(
            tensors: tensors, chunkBytes: options.chunkBytes,
            packs: options.mechanisms.coalesces, groupOrder: fenceOrder)
        let new = PlannedState(key: key, plan: plan, castSources: casts, inventory)
        planned.withLock { $0 = new }
        return new
    }
}

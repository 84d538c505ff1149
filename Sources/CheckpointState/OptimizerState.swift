internal import CheckpointFormat
internal import CheckpointSharding

/// A provider of an optimizer: tensors per parameter (moments, masters) and the step count.
public struct OptimizerState: StateProvider {
    private let name: String
    private let tensors: [TensorState]
    private let step: ObjectState<Int>

    /// Describes an optimizer.
    ///
    /// - Parameters:
    ///   - name: prefix of the names of its tensors and of its step count.
    ///   - tensors: every per-parameter tensor, with the name to store it under: `m.weight`,
    ///     `v.weight`, `master.weight`. A nil group means the group of the enclosing `CompositeState`.
    ///   - getStep: returns the number of updates made so far; called during `save`, on the
    ///     trainer's thread.
    ///   - setStep: installs a restored number of updates.
    public init(
        _ name: String = "optimizer", tensors: [(name: String, view: TensorView, group: String?)],
        getStep: @escaping () -> Int, setStep: @escaping (Int) -> Void
    ) {
        self.name = name
        self.tensors = tensors.map { TensorState($0.name, $0.view, role: .optimizer, group: $0.group) }
        self.step = ObjectState("step", role: .optimizer, get: getStep, set: setStep)
    }

    public func describe(to inventory: inout StateInventory) throws {
        try inventory.nest(name) { inventory in
            for tensor in tensors { try tensor.describe(to: &inventory) }
            step.describe(to: &inventory)
        }
    }
}

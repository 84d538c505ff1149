internal import CheckpointExchange
internal import CheckpointFormat
internal import CheckpointState

/// The tensors and values of foreign files, as the state of a training loop.
struct ForeignState: StateProvider {
    private let checkpoint: ForeignCheckpoint
    private let role: @Sendable (String) -> TensorRole?

    init(_ checkpoint: ForeignCheckpoint, role: @escaping @Sendable (String) -> TensorRole?) {
        self.checkpoint = checkpoint
        self.role = role
    }

    func describe(to inventory: inout StateInventory) {
        for tensor in checkpoint.tensors {
            let role = role(tensor.name) ?? UsualRole.of(tensor.name, tensor.view.type)
            inventory.add(tensor: tensor.name, tensor.view, role: role)
        }
        for object in checkpoint.objects {
            let text = object.value.text
            inventory.add(
                object: object.name, role: .other, encoding: .json, freeze: { { text } },
                restore: { _ in })
        }
    }
}

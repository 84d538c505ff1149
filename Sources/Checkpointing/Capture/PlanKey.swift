internal import CheckpointFormat
internal import CheckpointState

/// The properties of a state that its capture plan depends on.
struct PlanKey: Equatable {
    private struct Tensor: Equatable {
        var name: String
        var group: String
        var type: ElementType
        var shape: [Int]
        var device: ObjectIdentifier?

        /// Names are compared as bytes, as everywhere.
        static func == (a: Tensor, b: Tensor) -> Bool {
            a.name.utf8.elementsEqual(b.name.utf8) && a.group == b.group && a.type == b.type && a.shape == b.shape
                && a.device == b.device
        }
    }

    private let tensors: [Tensor]
    private let objects: [[UInt8]]
    private let groupOrder: [String]

    init(_ inventory: StateInventory, _ groupOrder: [String]) {
        tensors = inventory.tensors.map {
            Tensor(
                name: $0.name, group: $0.group, type: $0.view.type, shape: $0.view.shape,
                device: $0.view.memory.device.map { ObjectIdentifier($0) })
        }
        objects = inventory.objects.map { Array($0.name.utf8) }
        self.groupOrder = groupOrder
    }
}

internal import CheckpointIO
internal import CheckpointState

/// The devices that a state lies on, and what has been done for each.
final class DeviceKeeper: Sendable {
    private struct State {
        var devices: [any Device] = []
        /// What the devices have been told of; a new arena has to be told of again.
        var arena: StagingArena?
    }

    private let state = Monitor(State())

    /// Has every device of the state ready for copies, ordered after what the trainer has asked of it. Called by each save.
    func prepare(for inventory: StateInventory, _ pipeline: SavePipeline, _ crew: ThreadCrew) throws {
        let devices = Self.devices(of: inventory)
        guard !devices.isEmpty else { return }
        try crew.startDeviceThreads()
        let arena = pipeline.state.withLock { $0.arena }
        for device in devices {
            try prepare(device, arena)
            try device.orderCopiesAfterTrainer()
        }
    }

    private static func devices(of inventory: StateInventory) -> [any Device] {
        var devices: [any Device] = []
        for tensor in inventory.tensors {
            guard let device = tensor.view.memory.device, !devices.contains(where: { $0 === device }) else { continue }
            devices.append(device)
        }
        return devices
    }

    private func prepare(_ device: any Device, _ arena: StagingArena) throws {
        let isKnown = state.withLock { $0.arena === arena && $0.devices.contains { $0 === device } }
        guard !isKnown else { return }
        if state.withLock({ $0.arena !== arena }) { release() }
        try arena.prepare(for: device)
        state.withLock { state in
            state.arena = arena
            state.devices.append(device)
        }
    }

    /// Undoes what was done for the arena; nothing may be in flight.
    func release() {
        let (devices, arena) = state.withLock { state in
            defer { state = State() }
            return (state.devices, state.arena)
        }
        for device in devices { arena?.release(from: device) }
    }
}

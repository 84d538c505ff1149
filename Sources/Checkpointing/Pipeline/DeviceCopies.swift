internal import CheckpointIO
internal import CheckpointState
internal import CheckpointStorage

/// The devices of a state, prepared for copies to the arena.
///
/// Prepared on the trainer's thread, released on the one that ends the checkpointer. No device is
/// called while its lock is held.
final class DeviceCopies: Sendable {
    private struct State {
        var devices: [(device: any TensorDevice, isPrepared: Bool)] = []
        /// The arena that the devices are prepared for; a new one has to be prepared again.
        var arena: StagingArena?
    }

    private let state = Monitor(State())

    /// A checkpointer that is dropped without `close` releases its arena here, when its last save
    /// is over.
    deinit { release() }

    /// Prepares devices for copies, and orders these after the work that the trainer has submitted.
    /// Called by each save, on the trainer's thread.
    ///
    /// - Parameters:
    ///   - devices: the devices of the state.
    ///   - arena: the memory that is copied to.
    ///   - warn: called for a device that could not be prepared; its copies are slower.
    /// - Throws: `DeviceError`.
    func prepare(
        _ devices: [any TensorDevice], copyingTo arena: StagingArena, warn: (String) -> Void
    ) throws(DeviceError) {
        for device in devices {
            prepare(device, arena, warn)
            try device.orderCopiesAfterTrainer()
        }
    }

    private func prepare(_ device: any TensorDevice, _ arena: StagingArena, _ warn: (String) -> Void) {
        let isKnown = state.withLock { $0.arena === arena && $0.devices.contains { $0.device === device } }
        guard !isKnown else { return }
        if state.withLock({ $0.arena !== arena }) { release() }
        var isPrepared = true
        do throws(DeviceError) { try arena.prepare(for: device) } catch {
            isPrepared = false
            warn("copies from \(device.name) are slower than possible: \(error)")
        }
        state.withLock { state in
            state.arena = arena
            state.devices.append((device, isPrepared))
        }
    }

    /// Undoes what was done for the arena; nothing may be in flight.
    func release() {
        let (devices, arena) = state.withLock { state in
            defer { state = State() }
            return (state.devices, state.arena)
        }
        for (device, isPrepared) in devices where isPrepared { arena?.release(from: device) }
    }
}

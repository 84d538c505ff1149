internal import CheckpointState

/// The trainer's state provider. It need not be `Sendable`: only the trainer's thread calls it.
@safe
struct TrainerState: @unchecked Sendable {
    let provider: any StateProvider
}

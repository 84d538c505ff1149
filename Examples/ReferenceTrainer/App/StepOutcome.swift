/// The result of a training step before its update.
struct StepOutcome {
    /// The training loss before the update, in nats.
    var loss: Float
    /// True if training ends with this step, because of a signal.
    var isLast: Bool
}

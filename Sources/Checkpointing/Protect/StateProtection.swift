internal import CheckpointStorage

/// The way in which a state is kept from changing, or watched, while it is captured: modes checked
/// (`MutationChecker`) and guarded (`GuardedCapture`).
///
/// Methods are called on the trainer's thread, unless stated otherwise.
protocol StateProtection: AnyObject, Sendable {
    /// The page protection that captures respect; nil if this mode protects no pages. Only one save
    /// at a time can be captured under it.
    var guarding: (any PageGuarding)? { get }

    /// Begins to protect or watch the state for a save. The state does not change during the call.
    /// - Returns: names of tensors that were changed without a permit.
    func begin(_ task: SaveTask) throws -> [String]

    /// The pipeline knows the save as `flight` from now on.
    func begun(flight: FlightID)

    /// A permit for `group`, or for everything, is about to be granted.
    /// - Returns: names of tensors that were changed without a permit.
    func permit(_ group: String?) throws -> [String]

    /// The permit has ended.
    func permitEnded(_ group: String?) throws

    /// Ends the protection; no save is in flight.
    func close()
}

extension StateProtection {
    var guarding: (any PageGuarding)? { nil }
    func begun(flight: FlightID) {}
    func permit(_ group: String?) throws -> [String] { [] }
    func permitEnded(_ group: String?) throws {}
    func close() {}
}

internal import CheckpointFormat

/// An object of the host program that describes state and lends its bytes (the "state provider" of
/// the second DataStates-LLM paper). Providers compose: see `CompositeState`.
///
/// A provider need not be `Sendable`: it is called only by the thread that saves or restores.
public protocol StateProvider {
    /// Adds the state that this provider owns to an inventory, in a stable order. The engine calls
    /// it at every save and restore, on the calling thread. It must be quick and must not change
    /// the state.
    ///
    /// - Parameter inventory: the inventory to add to.
    /// - Throws: any error. The save or restore then fails before anything is captured.
    func describe(to inventory: inout StateInventory) throws
}

/// A value that no longer changes, encoded when the pipeline has time for it, on a thread of the
/// engine.
///
/// - Returns: the bytes of the value.
/// - Throws: any error of the encoding.
public typealias FrozenObject = @Sendable () throws -> [UInt8]

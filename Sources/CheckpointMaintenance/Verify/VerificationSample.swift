internal import CheckpointFormat
internal import CheckpointStorage

/// A random part of a store's blocks, to verify instead of all of them.
public struct VerificationSample: Sendable, Equatable {
    /// Minimum fraction of the blocks' bytes to read: above 0, at most 1.
    public var fraction: Double
    /// Seed of the choice: the same seed chooses the same blocks of the same store.
    public var seed: UInt64

    /// Creates a sample.
    ///
    /// - Parameters:
    ///   - fraction: minimum fraction of the blocks' bytes to read: above 0, at most 1.
    ///   - seed: seed of the choice.
    public init(fraction: Double, seed: UInt64) {
        precondition(fraction > 0 && fraction <= 1)
        self.fraction = fraction
        self.seed = seed
    }
}

/// The one operation that the engine needs from a trainer's process group, such as that of MPI or
/// `torch.distributed`. The engine calls it on one of its own threads, never on the trainer's, and
/// one call at a time; every rank makes the same calls in the same order, until one has failed.
public protocol ProcessGroup: Sendable {
    /// Number of this process, from 0.
    var rank: Int { get }
    /// Number of processes.
    var worldSize: Int { get }

    /// Gives every rank what each of them brings.
    ///
    /// - Parameters:
    ///   - bytes: what this rank brings: at most a few hundred bytes, of any length.
    ///   - deadline: when to give up.
    /// - Returns: what the ranks bring, by rank.
    /// - Throws: any error, if a rank is not there before the deadline. The engine then looks for
    ///   the parts of the others in the store, so an error costs time and nothing else.
    func allGather(
        _ bytes: [UInt8], deadline: ContinuousClock.Instant
    ) throws -> [[UInt8]]
}

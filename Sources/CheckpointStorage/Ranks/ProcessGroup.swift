/// The one operation that the engine needs from a trainer's process group, such as that of MPI or
/// `torch.distributed`. Every rank makes the same calls in the same order, one at a time, until one
/// has failed: at the start and to resume on the thread that calls the engine, then on its own.
/// A group is for one open store at a time.
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
    /// - Throws: any error, if a rank is not there before the deadline. At the start, and while all
    ///   ranks resume, that fails. Later the engine looks for the others in the store, so an error
    ///   costs time and nothing else.
    func allGather(
        _ bytes: [UInt8], deadline: ContinuousClock.Instant
    ) throws -> [[UInt8]]
}

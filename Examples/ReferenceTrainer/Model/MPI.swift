internal import CMPI

/// The processes that `mpirun` has started, each of which calls every operation.
package struct MPI: Sendable {
    /// A failure of MPI, in its own words or after a deadline.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        package init(_ description: String) { self.description = description }
    }

    /// Sets of operations that do not mix; each is used by one thread at a time.
    package enum Channel: Sendable {
        /// Those of the training loop.
        case trainer
        /// Those of the checkpoint engine, from its own threads.
        case engine
    }

    /// Number of this process, from 0.
    package let rank: Int
    /// Number of processes.
    package let worldSize: Int

    /// Joins the others. Once per process.
    ///
    /// - Throws: `Failure` if Open MPI is not there.
    package init() throws(Failure) {
        if let failure = unsafe cmpi_start() { throw unsafe Failure(String(cString: failure)) }
        (rank, worldSize) = (Int(cmpi_rank()), Int(cmpi_size()))
    }

    /// Gives every process the values of all, by rank.
    ///
    /// - Parameters:
    ///   - values: as many on each process.
    ///   - channel: the set of operations that this one belongs to; it is not used again after an
    ///     error.
    ///   - seconds: time to wait for the others.
    /// - Returns: the values of process 0, then those of process 1, and so on.
    /// - Throws: `Failure`.
    package func allGather<Value: BitwiseCopyable>(
        _ values: [Value], on channel: Channel, seconds: Double = .infinity
    ) throws(Failure) -> [Value] {
        guard let first = values.first else { return [] }
        var all = [Value](repeating: first, count: values.count * worldSize)
        let number = Int32(channel == .trainer ? CMPI_TRAINER : CMPI_ENGINE)
        let failed = unsafe values.withUnsafeBytes { own in
            unsafe all.withUnsafeMutableBytes { all in
                unsafe cmpi_all_gather(
                    number, own.baseAddress, own.count, all.baseAddress, seconds)
            }
        }
        guard failed == 0 else { throw Failure("MPI_Iallgather did not complete") }
        return all
    }

    /// Leaves. All processes call it, at their ends.
    package func stop() { cmpi_stop() }
}

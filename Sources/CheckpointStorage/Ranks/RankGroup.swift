/// The processes that save one checkpoint together, as one of them sees them.
///
///     let ranks = RankGroup(rank: 3, worldSize: 8, launch: "slurm-1234.0")
///     let store = try CheckpointStore.open(path, for: .writing, ranks: ranks)
package struct RankGroup: Sendable {
    /// Number of this process, from 0.
    package let rank: Int
    /// Number of processes.
    package let worldSize: Int
    /// Time that a rank waits for the others, in each phase of a commit and at the start.
    package var timeout: Duration = .seconds(600)
    /// The trainer's process group; nil if the ranks meet in the store.
    package let group: (any ProcessGroup)?
    /// Name of this start of the processes, the same on all ranks and new at each start; nil if
    /// there is a process group.
    package let launch: String?

    /// Creates a group of processes that can exchange messages.
    ///
    /// - Parameter group: the trainer's process group.
    package init(_ group: any ProcessGroup) {
        (rank, worldSize) = (group.rank, group.worldSize)
        self.group = group
        launch = nil
    }

    /// Creates a group of processes that meet in the store alone.
    ///
    /// - Parameters:
    ///   - rank: number of this process, from 0.
    ///   - worldSize: number of processes.
    ///   - launch: name of this start of the processes: the same on all ranks, and another one each
    ///     time that they are started, such as the job's id and the number of its restart.
    package init(rank: Int, worldSize: Int, launch: String) {
        (self.rank, self.worldSize) = (rank, worldSize)
        group = nil
        self.launch = launch
    }
}

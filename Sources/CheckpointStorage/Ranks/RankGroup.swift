internal import CheckpointFormat

/// The processes that save one checkpoint together, as one of them sees them.
///
///     let ranks = RankGroup(rank: 3, worldSize: 8, launch: "slurm-1234.0")
///     let store = try CheckpointStore.open(path, for: .writing, ranks: ranks)
public struct RankGroup: Sendable {
    /// Number of this process, from 0.
    public let rank: Int
    /// Number of processes.
    public let worldSize: Int
    /// Time that a rank waits for the others in each phase of a commit.
    public var timeout: Duration = .seconds(600)
    /// Time that a rank waits for the others at the start, and to restore together.
    public var startTimeout: Duration = .seconds(600)
    /// Time after which another rank publishes in the place of rank 0, and after which a rank looks
    /// in the store for what the process group does not tell; nil means a quarter of `timeout`, at
    /// most ten seconds.
    package var patience: Duration?
    /// The trainer's process group; nil if the ranks meet in the store.
    public let group: (any ProcessGroup)?
    /// Name of this start of the processes, the same on all ranks and new at each start; nil if
    /// there is a process group, which tells the ranks a random one.
    public let launch: String?

    /// Creates a group of processes that can exchange messages.
    ///
    /// - Parameter group: the trainer's process group.
    public init(_ group: any ProcessGroup) {
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
    public init(rank: Int, worldSize: Int, launch: String) {
        (self.rank, self.worldSize) = (rank, worldSize)
        group = nil
        self.launch = launch
    }
}

extension RankGroup {
    /// Checks the numbers.
    ///
    /// - Throws: code `misuse`.
    package func check() throws(CheckpointError) {
        guard (1...Limits.worldSizeMax).contains(worldSize), (0..<worldSize).contains(rank) else {
            throw CheckpointError(
                .misuse, "rank \(rank) of \(worldSize) processes is out of range",
                remedy: "Give a rank from 0 to worldSize - 1, and a worldSize "
                    + "of at most \(Limits.worldSizeMax)")
        }
        guard worldSize == 1 || launch?.isEmpty != true else {
            throw CheckpointError(
                .misuse, "the name of the launch is empty",
                remedy: "Give the job's id and the number of its restart")
        }
    }

    /// Lists ranks for people, at most 16 of them.
    package static func text(of ranks: [Int]) -> String {
        let names = ranks.prefix(16).map(String.init).joined(separator: ", ")
        return names + (ranks.count > 16 ? " and \(ranks.count - 16) more" : "")
    }
}

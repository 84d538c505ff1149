/// The process of a benchmark of several ranks that this one is.
package struct RankPlace: Sendable, Hashable {
    /// Number of this process, from 0.
    package var rank: Int
    /// Name of the start of the processes.
    package var launch: String

    package init(rank: Int, launch: String) {
        (self.rank, self.launch) = (rank, launch)
    }
}

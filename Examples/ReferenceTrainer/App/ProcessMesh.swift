internal import Checkpointing
internal import ReferenceModel

/// The processes of a run. Neighbours compute the layers of one replica of the model together
/// (`TensorParallel`); each replica trains on its part of a batch (`DataParallel`).
struct ProcessMesh {
    let mpi: MPI
    /// The processes, for the checkpoint: with the axes `DataParallel.axis` and
    /// `TensorDivision.axis`.
    let ranks: RankMesh
    /// Number of processes of each replica of the model.
    let tensorCount: Int

    /// Arranges the processes.
    ///
    /// - Parameters:
    ///   - mpi: the processes.
    ///   - tensorCount: number of processes of each replica; divides that of all.
    /// - Throws: `ShardingError` if the processes are too many for a checkpoint.
    init(_ mpi: MPI, tensorCount: Int) throws {
        self.mpi = mpi
        self.tensorCount = tensorCount
        ranks = try RankMesh([
            DataParallel.axis: mpi.worldSize / tensorCount, TensorDivision.axis: tensorCount,
        ])
    }

    /// Number of replicas of the model.
    var dataCount: Int { mpi.worldSize / tensorCount }
    /// Number of this process's replica, from 0.
    var dataIndex: Int { mpi.rank / tensorCount }
    /// Place of this process in its replica, from 0.
    var tensorIndex: Int { mpi.rank % tensorCount }

    /// Ranks of the processes that have the same parts of the layers, one of each replica.
    var dataRanks: [Int] { (0..<dataCount).map { $0 * tensorCount + tensorIndex } }
    /// Ranks of the processes of this replica.
    var tensorRanks: [Int] { (0..<tensorCount).map { dataIndex * tensorCount + $0 } }

    /// Gives every process the values of all.
    ///
    /// - Parameter values: as many on each process.
    /// - Returns: the values of each process, by rank.
    /// - Throws: `MPI.Failure`.
    func allGather<Value: BitwiseCopyable>(_ values: [Value]) throws -> [[Value]] {
        let all = try mpi.allGather(values, on: .trainer)
        return (0..<mpi.worldSize).map { rank in
            Array(all[rank * values.count..<(rank + 1) * values.count])
        }
    }
}

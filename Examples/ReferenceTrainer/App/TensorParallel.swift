internal import ReferenceModel

/// The processes that compute the layers of one replica of the model together, over MPI. The
/// replicas do so in step: each sum is one operation of all processes.
struct TensorParallel: TensorGroup {
    let processes: ProcessMesh
    var index: Int { processes.tensorIndex }
    var count: Int { processes.tensorCount }

    func allGather<Value: BitwiseCopyable & Sendable>(_ values: [Value]) throws -> [[Value]] {
        let all = try processes.allGather(values)
        return processes.tensorRanks.map { all[$0] }
    }
}

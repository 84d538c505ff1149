internal import Checkpointing
internal import ReferenceModel

/// Data parallelism with ZeRO-1: each replica of the model computes the gradients of its part of a
/// batch. Of the processes that have the same parts of the layers, each owns some rows of each
/// parameter, for which alone it has moments, and which alone it updates and saves. For a given
/// number of processes, every sum has one order.
struct DataParallel {
    /// Axis of the mesh on which these processes are neighbours.
    static let axis = "dp"

    let processes: ProcessMesh
    /// Number of replicas.
    var count: Int { processes.dataCount }
    /// Number of this process's replica, from 0.
    var index: Int { processes.dataIndex }

    /// Returns the rows of a parameter that this process owns.
    func rows(of parameter: Tensor) -> Range<Int> { rows(of: parameter, index) }

    private func rows(of parameter: Tensor, _ index: Int) -> Range<Int> {
        let extent = parameter.shape.first ?? 1
        return extent * index / count..<extent * (index + 1) / count
    }

    /// Returns what a checkpoint needs to know of the rows of a parameter that this process owns.
    ///
    /// - Parameters:
    ///   - parameter: the parameter; of one that is divided, this process's part.
    ///   - division: its division among the processes of a replica.
    /// - Throws: `ShardingError` if the parameter cannot be divided.
    func shard(of parameter: Tensor, _ division: TensorDivision) throws -> TensorShard {
        let sizes = (0..<count).map { rows(of: parameter, $0).count }
        return try division.sharding.split(0, over: Self.axis, .sizes(sizes))
            .shard(of: processes.mpi.rank, in: processes.ranks)
    }

    /// Replaces gradients by their mean over the replicas.
    ///
    /// - Parameters:
    ///   - gradients: the gradients of this replica's part of the batch.
    ///   - outcome: the rest of what this process knows of the step.
    /// - Returns: the loss of the whole batch, and whether any process has been told to end.
    func average(_ gradients: [Tensor], _ outcome: StepOutcome) throws -> StepOutcome {
        let values = gradients.flatMap { $0.values(0..<$0.count) }
        let own = [outcome.loss, outcome.isLast ? 1 : 0] + values
        let all = try processes.allGather(own)
        let share = 1 / Float(count)
        var mean = [Float](repeating: 0, count: own.count)
        for rank in processes.dataRanks {
            for index in own.indices { mean[index] += all[rank][index] * share }
        }
        var position = 2
        for gradient in gradients {
            gradient.set(0..<gradient.count, to: mean[position..<position + gradient.count])
            position += gradient.count
        }
        // A signal to a process of any replica, with any part of the layers, counts.
        return StepOutcome(loss: mean[0], isLast: all.contains { $0[1] > 0 })
    }

    /// Joins the rows of a tensor that belongs to a parameter.
    ///
    /// - Parameters:
    ///   - rows: those that this process owns.
    ///   - parameter: the parameter, whose shape the tensor has.
    /// - Returns: the tensor with all rows, the same on every process.
    func whole(ofRows rows: Tensor, _ parameter: Tensor) throws -> Tensor {
        let whole = Tensor(name: parameter.name, shape: parameter.shape)
        let width = parameter.count / (parameter.shape.first ?? 1)
        let own = self.rows(of: parameter)
        whole.set(
            own.lowerBound * width..<own.upperBound * width,
            to: rows.values(0..<own.count * width)[...])
        try complete([whole])
        return whole
    }

    /// Gives every process all rows of parameters, of which each process has those that it owns.
    func complete(_ parameters: [Tensor]) throws {
        guard count > 1 else { return }
        func values(_ index: Int) -> [(parameter: Tensor, range: Range<Int>)] {
            parameters.map { parameter in
                let (rows, rowCount) = (rows(of: parameter, index), parameter.shape.first ?? 1)
                let width = parameter.count / rowCount
                return (parameter, rows.lowerBound * width..<rows.upperBound * width)
            }
        }
        let longest = (0..<count).map { values($0).reduce(0) { $0 + $1.range.count } }.max() ?? 0
        var own = values(index).flatMap { $0.parameter.values($0.range) }
        own += [Float](repeating: 0, count: longest - own.count)
        let all = try processes.allGather(own)
        for (other, rank) in processes.dataRanks.enumerated() where other != index {
            var position = 0
            for (parameter, range) in values(other) {
                parameter.set(range, to: all[rank][position..<position + range.count])
                position += range.count
            }
        }
    }
}

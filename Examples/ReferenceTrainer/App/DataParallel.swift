internal import ReferenceModel

/// Data parallelism with ZeRO-1: each process computes the gradients of its part of a batch, and
/// owns some rows of each parameter, for which alone it has moments, and which alone it updates and
/// saves. For a given number of processes, every sum has one order.
struct DataParallel {
    let mpi: MPI

    /// Returns the rows of a parameter that a rank owns.
    func rows(of parameter: Tensor, rank: Int) -> Range<Int> {
        let count = parameter.shape.first ?? 1
        return count * rank / mpi.worldSize..<count * (rank + 1) / mpi.worldSize
    }

    /// Replaces gradients by their mean over the processes.
    ///
    /// - Parameters:
    ///   - gradients: the gradients of this process's part of the batch.
    ///   - outcome: the rest of what this process knows of the step.
    /// - Returns: the loss of the whole batch, and whether any process has been told to end.
    func average(_ gradients: [Tensor], _ outcome: StepOutcome) throws -> StepOutcome {
        let values = gradients.flatMap { $0.values(0..<$0.count) }
        let own = [outcome.loss, outcome.isLast ? 1 : 0] + values
        let all = try mpi.allGather(own, on: .trainer)
        let share = 1 / Float(mpi.worldSize)
        var mean = [Float](repeating: 0, count: own.count)
        for rank in 0..<mpi.worldSize {
            for index in own.indices { mean[index] += all[rank * own.count + index] * share }
        }
        var position = 2
        for gradient in gradients {
            gradient.set(0..<gradient.count, to: mean[position..<position + gradient.count])
            position += gradient.count
        }
        return StepOutcome(loss: mean[0], isLast: mean[1] > 0)
    }

    /// Returns a hash of tensors of which each process has the rows that it owns, the same on every
    /// process, and the same however the rows are divided.
    ///
    /// - Parameters:
    ///   - tensors: this process's rows, of one tensor for each parameter.
    ///   - parameters: the parameters, whose shapes the whole tensors have.
    func fingerprints(ofRows tensors: [Tensor], _ parameters: [Tensor]) throws -> [UInt64] {
        try zip(tensors, parameters).map { rows, parameter in
            let whole = Tensor(name: parameter.name, shape: parameter.shape)
            let width = parameter.count / (parameter.shape.first ?? 1)
            let own = self.rows(of: parameter, rank: mpi.rank)
            whole.set(
                own.lowerBound * width..<own.upperBound * width,
                to: rows.values(0..<own.count * width)[...])
            try complete([whole])
            return whole.fingerprint
        }
    }

    /// Gives every process all rows of parameters, of which each process has those that it owns.
    func complete(_ parameters: [Tensor]) throws {
        func values(_ rank: Int) -> [(parameter: Tensor, range: Range<Int>)] {
            parameters.map { parameter in
                let (rows, rowCount) = (rows(of: parameter, rank: rank), parameter.shape.first ?? 1)
                let width = parameter.count / rowCount
                return (parameter, rows.lowerBound * width..<rows.upperBound * width)
            }
        }
        let counts = (0..<mpi.worldSize).map { values($0).reduce(0) { $0 + $1.range.count } }
        let longest = counts.max() ?? 0
        var own = values(mpi.rank).flatMap { $0.parameter.values($0.range) }
        own += [Float](repeating: 0, count: longest - own.count)
        let all = try mpi.allGather(own, on: .trainer)
        for rank in 0..<mpi.worldSize where rank != mpi.rank {
            var position = rank * longest
            for (parameter, range) in values(rank) {
                parameter.set(range, to: all[position..<position + range.count])
                position += range.count
            }
        }
    }
}

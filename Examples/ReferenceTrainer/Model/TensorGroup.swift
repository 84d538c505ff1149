/// The processes that compute the layers of one model together, each with its part of the weights:
/// tensor parallelism. Each process calls every operation.
package protocol TensorGroup: Sendable {
    /// Place of this process among them, from 0.
    var index: Int { get }
    /// Number of processes.
    var count: Int { get }

    /// Gives every process the values of all.
    ///
    /// - Parameter values: as many on each process.
    /// - Returns: the values of each process, by its place.
    /// - Throws: the error of the transport; the group is not used again after it.
    func allGather<Value: BitwiseCopyable & Sendable>(_ values: [Value]) throws -> [[Value]]
}

extension TensorGroup {
    /// Replaces a complete matrix by its sum over the processes. They all add in the order of their
    /// places, so that the sum has the same bits on each.
    func sum(_ x: Matrix) throws {
        guard count > 1 else { return }
        let all = try allGather(x.tensor.values(0..<x.tensor.count))
        var total = all[0]
        for values in all.dropFirst() {
            for index in total.indices { total[index] += values[index] }
        }
        x.tensor.set(0..<total.count, to: total[...])
    }
}

/// The elements that two shards of one tensor have in common, as runs that are contiguous in the
/// row-major order of both shards.
package struct ShardOverlap: Sendable {
    /// Number of elements in each run.
    package let runElements: Int
    /// Number of runs along each of the slower dimensions.
    private let counts: [Int]
    private let first: (a: Int, b: Int)
    private let strides: (a: [Int], b: [Int])

    /// Computes the overlap; nil if the shards have no element in common.
    ///
    /// - Parameters:
    ///   - a: A shard.
    ///   - b: Another shard of the same tensor.
    package init?(_ a: ShardDescriptor, _ b: ShardDescriptor) {
        guard a.overlaps(b) else { return nil }
        let start = zip(a.offset, b.offset).map { max($0, $1) }
        let extent = start.indices.map { min(a.offset[$0] + a.extent[$0], b.offset[$0] + b.extent[$0]) - start[$0] }
        // A run spans the trailing dimensions in which the overlap is as long as both shards, and
        // one more.
        let isWhole = start.indices.map { a.extent[$0] == extent[$0] && b.extent[$0] == extent[$0] }
        let outer = isWhole.lastIndex(of: false) ?? 0
        runElements = extent[outer...].reduce(1, *)
        counts = Array(extent[..<outer])
        let full = (TensorShape.rowMajorStrides(a.extent), TensorShape.rowMajorStrides(b.extent))
        first = (
            start.indices.reduce(0) { $0 + (start[$1] - a.offset[$1]) * full.0[$1] },
            start.indices.reduce(0) { $0 + (start[$1] - b.offset[$1]) * full.1[$1] }
        )
        strides = (Array(full.0[..<outer]), Array(full.1[..<outer]))
    }

    /// Calls `body` for every run.
    ///
    /// - Parameter body: Called with the index of the run's first element in each shard.
    /// - Throws: The error of `body`.
    package func forEachRun<E: Error>(_ body: (_ a: Int, _ b: Int) throws(E) -> Void) throws(E) {
        var index = [Int](repeating: 0, count: counts.count)
        repeat {
            try body(Self.place(index, strides.a, first.a), Self.place(index, strides.b, first.b))
        } while advance(&index)
    }

    private static func place(_ index: [Int], _ strides: [Int], _ first: Int) -> Int {
        zip(index, strides).reduce(first) { $0 + $1.0 * $1.1 }
    }

    /// Moves to the next run.
    ///
    /// - Returns: False after the last run.
    private func advance(_ index: inout [Int]) -> Bool {
        for dimension in index.indices.reversed() {
            index[dimension] += 1
            if index[dimension] < counts[dimension] { return true }
            index[dimension] = 0
        }
        return false
    }
}

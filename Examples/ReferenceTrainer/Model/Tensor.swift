/// Named, owned, zero-initialized float32 memory, aligned to a cache line and stored row-major.
///
/// It is Sendable without checks: a tensor does not synchronize access to its memory. Threads that
/// share a tensor must order their reads and writes, as the trainer does with its permits.
@safe
package final class Tensor: @unchecked Sendable {
    /// Name under which a checkpoint stores the tensor.
    package let name: String
    /// Extents, outermost first.
    package let shape: [Int]
    /// Number of values: the product of `shape`.
    package let count: Int
    /// Address of the first of `count` values; valid while the tensor exists.
    package let base: UnsafeMutablePointer<Float>

    /// Allocates zeros.
    ///
    /// - Parameters:
    ///   - name: name under which a checkpoint stores the tensor.
    ///   - shape: extents, outermost first; all positive.
    package init(name: String, shape: [Int]) {
        precondition(shape.allSatisfy { $0 > 0 }, "every extent of \(name) must be positive")
        self.name = name
        self.shape = shape
        count = shape.reduce(1, *)
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: count * MemoryLayout<Float>.stride, alignment: 64)
        unsafe base = memory.bindMemory(to: Float.self, capacity: count)
        unsafe base.initialize(repeating: 0, count: count)
    }

    deinit {
        unsafe UnsafeMutableRawPointer(base).deallocate()
    }

    /// Lends all `count` values for the duration of `body`.
    ///
    /// - Parameter body: called once, on the calling thread; the buffer is invalid afterwards.
    /// - Returns: the result of `body`.
    /// - Throws: rethrows the error of `body`.
    package func withValues<Result>(
        _ body: (UnsafeMutableBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try unsafe body(UnsafeMutableBufferPointer(start: base, count: count))
    }

    /// Copies some of the values out.
    ///
    /// - Parameter range: positions in row-major order.
    package func values(_ range: Range<Int>) -> [Float] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return unsafe Array(UnsafeBufferPointer(start: base + range.lowerBound, count: range.count))
    }

    /// Replaces some of the values.
    ///
    /// - Parameters:
    ///   - range: positions in row-major order.
    ///   - values: as many values.
    package func set(_ range: Range<Int>, to values: ArraySlice<Float>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        precondition(values.count == range.count)
        for (place, value) in zip(range, values) { unsafe base[place] = value }
    }

    /// Sets every value.
    ///
    /// - Parameter value: the new value.
    package func fill(_ value: Float) {
        unsafe base.update(repeating: value, count: count)
    }
}

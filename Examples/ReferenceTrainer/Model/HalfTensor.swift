/// Named, owned bf16 memory, row-major: the upper halves of float32 values.
///
/// It is Sendable without checks for the same reason as `Tensor`.
@safe
package final class HalfTensor: @unchecked Sendable {
    /// Name under which a checkpoint stores the tensor.
    package let name: String
    /// Extents, outermost first.
    package let shape: [Int]
    /// Number of values: the product of `shape`.
    package let count: Int
    let base: UnsafeMutablePointer<UInt16>

    /// Allocates zeros of `shape`.
    init(name: String, shape: [Int]) {
        self.name = name
        self.shape = shape
        count = shape.reduce(1, *)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: count * MemoryLayout<UInt16>.stride, alignment: 64)
        unsafe base = memory.bindMemory(to: UInt16.self, capacity: count)
        unsafe base.initialize(repeating: 0, count: count)
    }

    deinit { unsafe UnsafeMutableRawPointer(base).deallocate() }

    /// Copies the values of `source`, rounded to nearest, ties to even. The values must be finite.
    func round(_ source: Tensor) {
        precondition(source.count == count)
        let base = unsafe base
        unsafe source.withValues { values in
            for i in 0..<count {
                let bits = unsafe values[i].bitPattern
                unsafe base[i] = UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
            }
        }
    }

    /// Writes the values to `destination`; float32 represents them exactly.
    func expand(into destination: Tensor) {
        precondition(destination.count == count)
        let base = unsafe base
        unsafe destination.withValues { values in
            for i in 0..<count { unsafe values[i] = Float(bitPattern: UInt32(base[i]) << 16) }
        }
    }
}

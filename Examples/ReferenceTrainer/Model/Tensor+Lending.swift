internal import CheckpointFormat
package import CheckpointState

extension Tensor {
    /// The tensor's memory, lent to the checkpoint engine. The loan keeps the tensor alive.
    package var view: TensorView {
        let memory = unsafe LentMemory(
            start: UnsafeMutableRawPointer(base), byteCount: count * MemoryLayout<Float>.stride,
            owner: self)
        do { return try TensorView(memory, type: .f32, shape: shape) } catch {
            preconditionFailure("a tensor that does not fit its own memory: \(error)")
        }
    }

    /// Some rows of the tensor's memory, lent to the checkpoint engine.
    ///
    /// - Parameter rows: positions in the first dimension.
    package func view(rows: Range<Int>) -> TensorView {
        let rest = Array(shape.dropFirst())
        do {
            return try view.part(
                ShardDescriptor(
                    offset: [rows.lowerBound] + rest.map { _ in 0 }, extent: [rows.count] + rest))
        } catch { preconditionFailure("rows \(rows) of a tensor of shape \(shape): \(error)") }
    }

    /// A 64-bit hash of the tensor's bits (FNV-1a over the elements), which any change of a bit
    /// changes, except by accident.
    package var fingerprint: UInt64 {
        unsafe withValues { values in
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for unsafe value in unsafe values {
                hash = (hash ^ UInt64(value.bitPattern)) &* 0x100_0000_01b3
            }
            return hash
        }
    }
}

extension HalfTensor {
    /// The tensor's memory, lent to the checkpoint engine. The loan keeps the tensor alive.
    package var view: TensorView {
        let memory = unsafe LentMemory(
            start: UnsafeMutableRawPointer(base), byteCount: count * MemoryLayout<UInt16>.stride,
            owner: self)
        do { return try TensorView(memory, type: .bf16, shape: shape) } catch {
            preconditionFailure("a tensor that does not fit its own memory: \(error)")
        }
    }
}

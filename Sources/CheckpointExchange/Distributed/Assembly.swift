internal import CheckpointFormat
internal import CheckpointState

/// Tensors that are stored in pieces in several files, lent as one device. Each tensor has an
/// address range of the device; a read there gathers the bytes from the tensor's pieces.
final class Assembly: TensorDevice {
    struct Piece: Sendable {
        var shard: ShardDescriptor
        /// The piece's elements, row-major, whatever their order in the file.
        var view: TensorView
    }

    struct Tensor: Sendable {
        var name: String
        var type: ElementType
        var shape: [Int]
        var pieces: [Piece]
        var bytes: Int { TensorShape.byteCount(shape, type) ?? 0 }
    }

    private let tensors: [Tensor]
    /// Address of the first byte of each tensor.
    private let starts: [Int]

    init(_ tensors: [Tensor]) {
        self.tensors = tensors
        var starts: [Int] = []
        var end = 0
        for tensor in tensors {
            starts.append(end)
            end += tensor.bytes
        }
        self.starts = starts
    }

    /// Lends the tensors.
    ///
    /// - Parameter path: the checkpoint, for messages.
    /// - Returns: the tensors, in the order of the initializer.
    /// - Throws: `ExchangeError` if a shape or a name is invalid.
    func lend(_ path: String) throws(ExchangeError) -> [ForeignTensor] {
        var lent: [ForeignTensor] = []
        for (start, tensor) in zip(starts, tensors) {
            let memory = LentMemory(
                device: self, address: DeviceAddress(rawValue: UInt64(start)),
                byteCount: tensor.bytes)
            let view: TensorView
            do throws(StateError) {
                view = try TensorView(memory, type: tensor.type, shape: tensor.shape)
            } catch {
                throw .damage(path, "tensor \(quoted(tensor.name)): \(error)")
            }
            lent.append(try ForeignTensor(tensor.name, view, in: path))
        }
        return lent
    }

    /// A range of a tensor's row-major bytes that is contiguous in one piece.
    struct Run: Equatable {
        var piece: Int
        /// Offset in the piece, in bytes.
        var offset: Int
        var bytes: Int
    }

    /// Returns the longest run that begins at a position of a tensor.
    ///
    /// - Parameters:
    ///   - tensor: the tensor.
    ///   - position: offset in the tensor's row-major bytes.
    ///   - limit: maximum size of the run in bytes.
    ///   - hint: index of the piece to try first.
    /// - Returns: the run, at least one byte.
    static func run(_ tensor: Tensor, at position: Int, atMost limit: Int, hint: Int) -> Run {
        let (width, shape) = (tensor.type.width, tensor.shape)
        let inElement = position % width
        var index = [Int](repeating: 0, count: shape.count)
        var rest = position / width
        for dimension in shape.indices.reversed() {
            index[dimension] = rest % shape[dimension]
            rest /= shape[dimension]
        }
        func holds(_ piece: Piece) -> Bool {
            shape.indices.allSatisfy {
                (piece.shard.offset[$0]..<piece.shard.offset[$0] + piece.shard.extent[$0]).contains(
                    index[$0])
            }
        }
        let number =
            holds(tensor.pieces[hint]) ? hint : tensor.pieces.firstIndex(where: holds) ?? hint
        let shard = tensor.pieces[number].shard
        // Counts the elements of the piece before this one, and those from this one up to the point
        // at which the piece departs from the tensor's order.
        var (before, run, stride, isWhole) = (0, 1, 1, true)
        for dimension in shape.indices.reversed() {
            let inside = index[dimension] - shard.offset[dimension]
            before += inside * stride
            if isWhole {
                run = (shard.extent[dimension] - inside) * stride - (before - inside * stride)
            }
            stride *= shard.extent[dimension]
            isWhole = isWhole && shard.extent[dimension] == shape[dimension]
        }
        return Run(
            piece: number, offset: before * width + inElement,
            bytes: min(run * width - inElement, limit))
    }

    // MARK: TensorDevice

    var name: String { "the files of a distributed checkpoint" }
    func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) {}
    func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {}
    func orderCopiesAfterTrainer() {}
    func finish(_ copy: DeviceCopy) {}

    func startCopy(from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer)
        throws(DeviceError) -> DeviceCopy
    {
        let position = Int(address.rawValue)
        // Searches for the last tensor that begins at or before the position. Empty tensors have no
        // bytes that could be requested.
        var (low, high) = (0, starts.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= position { low = middle } else { high = middle }
        }
        let tensor = tensors[low]
        var (done, hint) = (0, 0)
        while done < destination.count {
            let run = Self.run(
                tensor, at: position - starts[low] + done, atMost: destination.count - done,
                hint: hint)
            let view = tensor.pieces[run.piece].view
            let part = unsafe UnsafeMutableRawBufferPointer(
                rebasing: destination[done..<done + run.bytes])
            guard let file = view.memory.device, let start = view.memory.deviceAddress else {
                preconditionFailure("pieces lie in files")
            }
            // Files complete a copy before they return.
            _ = unsafe try file.startCopy(
                from: start.advanced(by: view.byteOffset + run.offset), to: part)
            (done, hint) = (done + run.bytes, run.piece)
        }
        return DeviceCopy(id: 0)
    }

    func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress)
        throws(DeviceError) -> DeviceCopy
    {
        throw DeviceError("\(name) are open only for reading")
    }
}

internal import CheckpointFormat
package import CheckpointState
internal import SystemPackage

/// A tensor of a foreign file: its name, and a view that reads its bytes from the file.
package struct ForeignTensor: Sendable {
    package var name: String
    package let view: TensorView

    /// Creates a tensor from a view.
    ///
    /// - Parameters:
    ///   - name: name in the foreign file.
    ///   - view: the tensor's elements.
    ///   - path: the file, for messages.
    /// - Throws: `ExchangeError` if the name is not valid in a checkpoint: empty, too long, or with
    ///   a NUL.
    init(_ name: String, _ view: TensorView, in path: String) throws(ExchangeError) {
        guard (1...Limits.nameBytesMax).contains(name.utf8.count) else {
            throw .refused(
                path, "tensor \(quoted(name)): its name must have 1 to \(Limits.nameBytesMax) bytes"
            )
        }
        guard !name.utf8.contains(0) else {
            throw .refused(path, "tensor \(quoted(name)): its name contains a NUL")
        }
        self.name = name
        self.view = view
    }

    /// Creates a tensor from a range of a file. Elements in another than row-major order are
    /// reordered while they are read.
    ///
    /// - Parameters:
    ///   - name: name in the foreign file.
    ///   - type: type of the elements.
    ///   - shape: extents in elements, slowest dimension first.
    ///   - strides: distance in elements between neighbours, per dimension; nil means row-major.
    ///   - byteOffset: offset of element (0, ..., 0) in `memory`, in bytes.
    ///   - memory: the range of the file.
    /// - Throws: `ExchangeError` if the name, the shape or the strides are invalid, or an element
    ///   would be outside `memory`.
    init(
        _ name: String, _ type: ElementType, _ shape: [Int], strides: [Int]? = nil,
        byteOffset: Int = 0, in memory: FileMemory
    ) throws(ExchangeError) {
        let path = memory.file.path.string
        guard shape.count <= Limits.rankOfTensorMax else {
            throw .refused(
                path,
                "tensor \(quoted(name)): \(shape.count) dimensions, more than \(Limits.rankOfTensorMax)"
            )
        }
        guard strides?.count ?? shape.count == shape.count else {
            throw .damage(
                path,
                "tensor \(quoted(name)): strides \(shown(strides ?? [])) do not fit shape \(shown(shape))"
            )
        }
        let view: TensorView
        do throws(StateError) {
            let strides = strides ?? TensorShape.rowMajorStrides(shape)
            let direct = try TensorView(
                memory.memory, type: type, shape: shape, strides: strides, byteOffset: byteOffset)
            let layout = StridedLayout(type, shape, strides: strides, byteOffset: byteOffset)
            view =
                try layout.map { layout throws(StateError) in try StridedFile(memory, layout).lend()
                } ?? direct
        } catch {
            throw .damage(path, "tensor \(quoted(name)): \(error)")
        }
        try self.init(name, view, in: path)
    }
}

internal import CheckpointFormat
package import CheckpointSharding

/// The division of a tensor among the processes of a `TensorGroup`. Each has a part of the tensor,
/// or a replica.
package struct TensorDivision {
    /// Axis of the mesh on which the group's processes are neighbours.
    package static let axis = "tp"

    /// The division, for the checkpoint: of the complete tensor along `axis`.
    package let sharding: TensorSharding
    private let group: any TensorGroup
    /// The memory of each process, by its place.
    private let parts: [LocalTensor]

    /// Divides a tensor. That its extents can be divided is a precondition.
    init(_ sharding: TensorSharding, among group: any TensorGroup) {
        // A single process has the tensor in one piece, not in the sections of a fused one.
        let sharding = group.count > 1 ? sharding : TensorSharding(sharding.shape)
        (self.sharding, self.group) = (sharding, group)
        do {
            let mesh = try RankMesh([Self.axis: group.count])
            parts = try (0..<group.count).compactMap { try sharding.local(of: $0, in: mesh) }
        } catch {
            preconditionFailure("\(group.count) processes cannot divide a parameter: \(error)")
        }
    }

    /// Shape of this process's part.
    var shape: [Int] { parts[group.index].shape }

    /// True if the processes have different parts; false if each has the complete tensor.
    var isDivided: Bool { shape != sharding.shape }

    /// Copies this process's part of a complete tensor.
    ///
    /// - Parameter whole: a tensor of the shape of `sharding`.
    /// - Returns: the part, under the same name.
    package func part(of whole: Tensor) -> Tensor {
        guard isDivided else { return whole }
        let part = Tensor(name: whole.name, shape: shape)
        let (from, to) = (whole.row, part.row)
        parts[group.index].forEachElement { to[$0] = from[$1] }
        return part
    }

    /// Joins the parts of all processes, each of which calls this.
    ///
    /// - Parameter part: this process's part.
    /// - Returns: the complete tensor; `part` itself if it is that.
    /// - Throws: the error of the group.
    package func whole(of part: Tensor) throws -> Tensor {
        guard isDivided else { return part }
        let whole = Tensor(name: part.name, shape: sharding.shape)
        let row = whole.row
        for (values, place) in zip(try group.allGather(part.values(0..<part.count)), parts) {
            place.forEachElement { row[$1] = values[$0] }
        }
        return whole
    }
}

extension LocalTensor {
    /// Calls `body` with the position of each element in this memory, and in the complete tensor.
    fileprivate func forEachElement(_ body: (_ local: Int, _ whole: Int) -> Void) {
        for piece in pieces {
            for number in 0..<piece.count {
                var (rest, local, whole) = (number, piece.localOffset, piece.offset)
                for dimension in piece.shape.indices.reversed() {
                    let index = rest % piece.shape[dimension]
                    rest /= piece.shape[dimension]
                    local += index * piece.localStrides[dimension]
                    whole += index * piece.strides[dimension]
                }
                body(local, whole)
            }
        }
    }
}

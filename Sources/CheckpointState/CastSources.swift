internal import CheckpointFormat

/// For each two-byte float tensor, the f32 tensors that it may be a cast of: the host tensors with
/// its shape in its group, because all tensors of a group change together. Every save compares the
/// bytes again to decide whether the tensor really is a cast.
package struct CastSources: Sendable, Equatable {
    /// Maximum number of sources to try: a master and two moments make three.
    private static let sourcesMax = 8

    private struct Kin: Hashable {
        var group: String
        var shape: [Int]
    }

    /// Indices of the f32 tensors, by index of the two-byte tensor.
    private let sources: [Int: [Int]]

    /// Finds the possible sources of every tensor on the host.
    ///
    /// - Parameter tensors: the tensors of the inventory, in order.
    package init(_ tensors: [TensorItem]) {
        var wide: [Kin: [Int]] = [:]
        for (index, tensor) in tensors.enumerated() where tensor.view.type == .f32 && tensor.view.memory.device == nil {
            wide[Kin(group: tensor.group, shape: tensor.view.shape), default: []].append(index)
        }
        var sources: [Int: [Int]] = [:]
        for (index, tensor) in tensors.enumerated() where Self.isNarrow(tensor.view) {
            sources[index] = wide[Kin(group: tensor.group, shape: tensor.view.shape)].map { Array($0.prefix(Self.sourcesMax)) }
        }
        self.sources = sources
    }

    private static func isNarrow(_ view: TensorView) -> Bool { (view.type == .bf16 || view.type == .f16) && view.memory.device == nil }

    /// Returns the tensors that a tensor may be a cast of.
    ///
    /// - Parameter tensor: index of the tensor in the inventory.
    /// - Returns: indices of f32 tensors, at most 8; empty if there are none.
    package subscript(tensor: Int) -> [Int] { sources[tensor] ?? [] }
}

internal import CheckpointFormat

/// For each two-byte float tensor, the f32 tensors that it may be a cast of: those of its group, which changes as a whole, with its shape.
/// Whether it is one, the bytes say, anew in every save.
package struct CastSources: Sendable, Equatable {
    /// More are not tried: a master and two moments are three.
    private static let sourcesMax = 8

    private struct Kin: Hashable {
        var group: String
        var shape: [Int]
    }

    /// Indices of tensors, by index of the tensor.
    private let sources: [Int: [Int]]

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

    /// What a tensor may be a cast of.
    package subscript(tensor: Int) -> [Int] { sources[tensor] ?? [] }
}

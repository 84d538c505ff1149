internal import CheckpointFormat
internal import CheckpointSharding

/// Several providers under one name, nested to any depth:
///
///     CompositeState {
///         CompositeState("model", group: "body") { TensorState("weight", view) }
///         ObjectState("rng", role: .rng, get: { trainer.random }, set: { trainer.random = $0 })
///     }
///
/// It is the composite state provider of the second DataStates-LLM paper.
public struct CompositeState: StateProvider {
    private let name: String
    private let group: String?
    private let children: [any StateProvider]

    /// Groups the providers that a builder returns.
    ///
    /// - Parameters:
    ///   - name: prefix of the children's names, joined with a dot; an empty name adds nothing.
    ///   - group: mutation group of all tensors inside that do not name a group.
    ///   - children: the providers, in the order in which they are described.
    /// - Throws: rethrows the error of `children`.
    public init(
        _ name: String = "", group: String? = nil,
        @StateBuilder _ children: () throws -> [any StateProvider]
    ) rethrows {
        self.init(name, group: group, children: try children())
    }

    /// Groups the providers of a list.
    ///
    /// - Parameters:
    ///   - name: prefix of the children's names, joined with a dot; an empty name adds nothing.
    ///   - group: mutation group of all tensors inside that do not name a group.
    ///   - children: the providers, in the order in which they are described.
    public init(_ name: String = "", group: String? = nil, children: [any StateProvider]) {
        self.name = name
        self.group = group
        self.children = children
    }

    public func describe(to inventory: inout StateInventory) throws {
        try inventory.nest(name, group: group) { inventory in
            for child in children { try child.describe(to: &inventory) }
        }
    }
}

/// The earlier name of `CompositeState`.
@available(*, deprecated, renamed: "CompositeState")
public typealias State = CompositeState

public import CheckpointFormat
public import CheckpointSharding

/// A tensor of the state.
public struct TensorItem: Sendable {
    /// Full name, unique among tensors; shards of one tensor share it.
    public var name: String
    /// Memory and layout of the tensor, or of a rank's shard of it.
    public var view: TensorView
    /// The shard that the memory holds; nil if it holds the complete tensor.
    public var shard: TensorShard?
    /// The tensor's purpose in the training loop.
    public var role: TensorRole
    /// Name of the mutation group; by default the group of the enclosing `CompositeState`.
    public var group: String
    /// In an inventory that is divided into pieces, the elements that the view has; nil if it has
    /// none.
    package var region: ShardRegion?
    /// In an inventory that is divided into pieces, the ranks that hold the same elements,
    /// ascending, this one among them; empty if only this one is known to.
    package var holders: [Int] = []

    /// Shape of the complete tensor.
    package var shape: [Int] { shard?.shape ?? view.shape }
}

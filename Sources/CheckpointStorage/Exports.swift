// Users of a store import only `CheckpointStorage`: these modules define the types in its
// interface.
@_exported public import CheckpointCodecs
@_exported public import CheckpointFormat
@_exported public import CheckpointSharding
@_exported public import CheckpointState

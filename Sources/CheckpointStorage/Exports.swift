// Users of a store import `CheckpointStorage` alone: these are the types that its interface is made of.
@_exported public import CheckpointCodecs
@_exported public import CheckpointFormat
@_exported public import CheckpointState

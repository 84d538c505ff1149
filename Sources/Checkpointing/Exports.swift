// Trainers import `Checkpointing` alone: the store comes with it, and the types of its interface.
@_exported public import CheckpointStorage

/// Strictness of a restore about names that only the state or only the checkpoint has.
public enum RestoreMode: Sendable {
    /// State and checkpoint must have the same tensors and objects.
    case strict
    /// Every tensor and object of the state is in the checkpoint, which may have others: the state
    /// of one stage of a pipeline. The others are listed in the report.
    case subset
    /// Names that both have are restored. Names that only one of them has are listed in the report.
    case partial
}

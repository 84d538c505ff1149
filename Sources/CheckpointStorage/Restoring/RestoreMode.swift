/// Strictness of a restore about names that only the state or only the checkpoint has.
public enum RestoreMode: Sendable {
    /// Every tensor and object of the state is in the checkpoint, and the other way round.
    case strict
    /// Every tensor and object of the state is in the checkpoint, which may have others: the state
    /// of one stage of a pipeline. The others are listed in the report.
    case subset
    /// What the two have in common is restored. What only one of them has is listed in the report.
    case partial
}

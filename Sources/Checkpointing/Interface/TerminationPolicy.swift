/// Reaction of a checkpointer to SIGTERM, by which schedulers and spot instances announce the end.
public enum TerminationPolicy: Sendable, Equatable {
    /// The signal is left to the program. By default it ends the process, and a save in flight is
    /// lost; the checkpoints before it are not.
    case ignore
    /// The saves in flight are finished first, for at most this long; then the signal acts
    /// as it would without this option.
    case publishNewest(within: Duration)
}

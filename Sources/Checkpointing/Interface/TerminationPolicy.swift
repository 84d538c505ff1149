/// Reaction of a checkpointer to SIGTERM, by which schedulers and spot instances announce the end.
public enum TerminationPolicy: Sendable, Equatable {
    /// The signal is left to the program. By default it ends the process, and a save in flight is
    /// lost; the checkpoints before it are not.
    case ignore
    /// The saves in flight are finished first, for at most this long; then the signal acts
    /// as it would without this option.
    case publishNewest(within: Duration)
    /// The loop is asked to end: `Checkpointer.isTerminating` becomes true, and the loop saves once
    /// more and closes the checkpointer. If it has done so within this time, the signal has no
    /// other effect, and the program ends as it likes; otherwise the signal acts then as it would
    /// without this option. Further signals change nothing meanwhile. The option is for one signal:
    /// `isTerminating` stays true, and the next signal acts as without the option.
    case stopTraining(within: Duration)
}

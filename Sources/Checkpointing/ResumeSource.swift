internal import CheckpointFormat
internal import CheckpointIO
public import CheckpointStorage

/// The checkpoint that a run is resumed from, if not from its own newest one.
public enum ResumeSource: Sendable {
    /// The newest intact checkpoint of the run with this name.
    case run(String)
    /// One checkpoint.
    case reference(CheckpointReference)
    /// The newest intact checkpoint of the store, of any run, import or copy.
    case any
}

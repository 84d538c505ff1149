/// Paths of blocks out of the trainer's memory. Each lane has its own threads and cursors, so
/// a slow lane does not delay the other (the "tiers" of the second DataStates-LLM paper).
package enum CaptureLane: Int, Sendable, CaseIterable {
    /// Memory that this process can read.
    case host
    /// Memory that a device has to copy from.
    case device
}

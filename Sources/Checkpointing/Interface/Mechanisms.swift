internal import CheckpointStorage

/// Switches for the engine's mechanisms, to measure the effect of each. Any value other than all on
/// is for measurements only.
package struct Mechanisms: Sendable, Equatable {
    /// Captures tensors in the background after `save` has returned; off: `save` copies everything
    /// first.
    package var isLazy = true
    /// The arena is allocated and touched once; off: again for each save.
    package var preallocates = true
    /// Packs small tensors into shared blocks and writes; off: one block for each.
    package var coalesces = true
    /// Writes blocks while others are still being captured; off: writing begins when all are
    /// captured, or the arena is full.
    package var streams = true
    /// Overwrites segments of expired checkpoints; off: unlinks them.
    package var recycles = true
    package init() {}
}

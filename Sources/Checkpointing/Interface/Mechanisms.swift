internal import CheckpointStorage

/// The engine's mechanisms, each of which can be switched off to measure what it brings. All on is the engine; anything else is for
/// measuring only.
package struct Mechanisms: Sendable, Equatable {
    /// Tensors are captured in the background after `save` has returned; off: `save` copies everything first.
    package var isLazy = true
    /// The arena is allocated and touched once; off: again for each save.
    package var preallocates = true
    /// Small tensors share blocks and writes; off: a block of its own for each.
    package var coalesces = true
    /// Blocks are written while others are still being captured; off: writing begins when all are captured, or the arena is full.
    package var streams = true
    /// Segments of expired checkpoints are written over; off: unlinked.
    package var recycles = true
    package init() {}
}

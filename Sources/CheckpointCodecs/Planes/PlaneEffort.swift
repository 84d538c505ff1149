internal import CheckpointFormat

/// Effort of the plane codecs.
package enum PlaneEffort: UInt8, Sendable, CaseIterable {
    /// Short codes for the most frequent bytes: close to the speed of memory.
    case fast
    /// Huffman codes, or matches if there are any, for the planes that they make smaller.
    case balanced
    /// All layouts, with a longer search for matches: for data that is written once and kept.
    case max
}

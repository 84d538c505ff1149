/// The order of the sections in a rank's memory. In the tensor they follow each other.
public enum FusedOrder: Hashable, Sendable {
    /// One section after the other.
    case blocked
    /// The first unit of every section, then the second of every section, and so on; all sections
    /// have the same number of units.
    case interleaved
}

internal import CheckpointIO

/// The names that lie directly below a prefix.
package struct ObjectListing: Sendable, Equatable {
    /// Names of the objects, without the prefix.
    package var objects: [String] = []
    /// Names of what other keys begin with, without the prefix and the final `/`.
    package var prefixes: [String] = []
    /// Time since each object was created, by the clock of the store; objects of which it is not
    /// known are missing.
    package var ages: [String: Duration] = [:]

    /// Creates an empty listing.
    package init() {}

    /// Number of names.
    package var count: Int { objects.count + prefixes.count }
    package var isEmpty: Bool { count == 0 }
}

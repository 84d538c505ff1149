internal import CheckpointFormat

/// The catalog could not be used. It is never the only copy of anything: the caller reads the
/// manifests instead, or rebuilds the catalog.
package struct CatalogError: Error, CustomStringConvertible {
    /// A class of errors of a catalog.
    package enum Kind: Sendable {
        case damaged
        /// Another version of this software has made it.
        case ofAnotherVersion
        /// Another process holds the lock, or the disk is full; the catalog itself is not damaged.
        case transient
    }

    package let description: String
    package let kind: Kind
    /// True if the catalog itself is not damaged, and can be used later.
    package var isTransient: Bool { kind == .transient }

    package init(_ description: String, _ kind: Kind = .damaged) {
        self.description = description
        self.kind = kind
    }
}

package import CheckpointFormat

/// The tags and pins of a store, as read from its files. A plain value.
package struct Marks: Sendable {
    package var tags: [TagName: Mark] = [:]
    package var pins: Set<ManifestName> = []
    /// Tags that cannot be read: nothing may be removed while there are any, since nobody knows which checkpoint they protect.
    package var unreadable: [CheckpointError] = []

    package init() {}

    /// Names of the checkpoints that nobody may remove.
    package var protected: Set<ManifestName> { pins.union(tags.values.map(\.name)) }

    /// The tags of each checkpoint, in order.
    package func tagsByName() -> [ManifestName: [String]] {
        Dictionary(grouping: tags, by: \.value.name).mapValues { tags in tags.map(\.key.description).sorted() }
    }
}

/// The files in `tags/` and `pins/` (Formats/store-layout.md, Tags and pins).

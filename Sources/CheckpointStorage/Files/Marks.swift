package import CheckpointFormat

/// The tags and pins of a store, as read from its files. A plain value.
package struct Marks: Sendable {
    package var tags: [TagName: Mark] = [:]
    package var pins: Set<ManifestName> = []
    /// Errors of tags that cannot be read. While there is one, no checkpoint may be removed: it is
    /// unknown which one the tag protects.
    package var unreadable: [CheckpointError] = []

    package init() {}

    /// Names of the checkpoints that must not be removed: those with a pin or a tag.
    package var protected: Set<ManifestName> { pins.union(tags.values.map(\.name)) }

    /// Returns the tags of each checkpoint, sorted.
    package func tagsByName() -> [ManifestName: [String]] {
        Dictionary(grouping: tags, by: \.value.name).mapValues { tags in tags.map(\.key.description).sorted() }
    }
}

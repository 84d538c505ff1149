package import CheckpointFormat

/// The properties of a checkpoint that retention rules use.
package struct RetentionItem {
    package var name: ManifestName
    /// Time of the save, in milliseconds since 1970.
    package var created = 0
    package var metrics: [String: Double] = [:]
    package var tags: [String] = []
    package var isPinned = false

    package init(
        name: ManifestName, created: Int = 0, metrics: [String: Double] = [:], tags: [String] = [],
        isPinned: Bool = false
    ) {
        self.name = name
        self.created = created
        self.metrics = metrics
        self.tags = tags
        self.isPinned = isPinned
    }
}

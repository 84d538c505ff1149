package import CheckpointFormat

/// A checkpoint as a member of its run: what decides which checkpoints belong together.
package struct RunMember: Sendable, Equatable {
    package var name: ManifestName
    package var runName: String
    /// Time of creation, in milliseconds since 1970.
    package var created: Int
    /// Name of the checkpoint that the restart was resumed from.
    package var parent: ManifestName?
    package var origin: CheckpointOrigin

    /// Creates a member.
    ///
    /// - Parameters:
    ///   - name: file name of the manifest.
    ///   - runName: name of the run; may be empty in checkpoints from before 0.2.
    ///   - created: time of creation, in milliseconds since 1970.
    ///   - parent: name of the checkpoint that the restart was resumed from.
    ///   - origin: place of the checkpoint in its run.
    package init(
        name: ManifestName, runName: String, created: Int, parent: ManifestName?,
        origin: CheckpointOrigin
    ) {
        (self.name, self.runName, self.created) = (name, runName, created)
        (self.parent, self.origin) = (parent, origin)
    }

    /// Returns the member that a manifest describes.
    package init(_ manifest: Manifest) {
        self.init(
            name: manifest.name, runName: manifest.runName, created: manifest.created,
            parent: manifest.parent?.name, origin: manifest.origin)
    }

    /// Returns the member that a row of the catalog describes.
    package init(_ entry: CatalogEntry) {
        self.init(
            name: entry.name, runName: entry.runName, created: entry.created,
            parent: entry.parent?.name,
            origin: entry.origin)
    }
}

package import CheckpointFormat

/// One checkpoint in a list. The catalog stores these fields, and they can also be computed from a
/// manifest.
package struct CatalogEntry: Sendable, Equatable {
    package var name: ManifestName
    package var id: CheckpointID
    package var runName: String
    /// Time of creation, in milliseconds since 1970.
    package var created: Int
    /// The checkpoint that the restart was resumed from.
    package var parent: Manifest.Parent?
    /// Place of the checkpoint in its run.
    package var origin: CheckpointOrigin
    package var worldSize: Int
    package var tensorCount: Int
    package var objectCount: Int
    package var logicalBytes: Int
    package var storedBytes: Int
    /// The part of `storedBytes` that only deltas need.
    package var baseBytes: Int
    package var manifestBytes: Int
    package var manifestHash: Hash128
    /// The metrics by name. NaN is a valid value, so `==` is false for two entries with NaN
    /// metrics; use `isSame(as:)`.
    package var metrics: [String: Double]

    package init(
        name: ManifestName, id: CheckpointID, runName: String, created: Int,
        parent: Manifest.Parent?, origin: CheckpointOrigin, worldSize: Int, tensorCount: Int,
        objectCount: Int, logicalBytes: Int, storedBytes: Int, baseBytes: Int, manifestBytes: Int,
        manifestHash: Hash128, metrics: [String: Double]
    ) {
        self.name = name
        self.id = id
        self.runName = runName
        self.created = created
        self.parent = parent
        self.origin = origin
        self.worldSize = worldSize
        self.tensorCount = tensorCount
        self.objectCount = objectCount
        self.logicalBytes = logicalBytes
        self.storedBytes = storedBytes
        self.baseBytes = baseBytes
        self.manifestBytes = manifestBytes
        self.manifestHash = manifestHash
        self.metrics = metrics
    }

    /// Computes the entry of a manifest.
    ///
    /// - Parameters:
    ///   - manifest: The manifest.
    ///   - manifestBytes: Size of its file in bytes.
    ///   - manifestHash: The hash at the end of its file.
    package init(_ manifest: Manifest, manifestBytes: Int, manifestHash: Hash128) {
        self.init(
            name: manifest.name, id: manifest.id, runName: manifest.runName,
            created: manifest.created,
            parent: manifest.parent, origin: manifest.origin, worldSize: manifest.worldSize,
            tensorCount: manifest.tensors.count,
            objectCount: manifest.objects.count, logicalBytes: manifest.logicalBytes,
            storedBytes: manifest.storedBytes, baseBytes: manifest.baseBytes,
            manifestBytes: manifestBytes,
            manifestHash: manifestHash,
            metrics: Dictionary(
                manifest.metrics.map { ($0.name, $0.value) },
                uniquingKeysWith: { first, _ in first }))
    }

    /// Returns true if the entries are equal, counting two NaNs as equal.
    package func isSame(as other: CatalogEntry) -> Bool {
        var (a, b) = (self, other)
        guard a.metrics.keys == b.metrics.keys else { return false }
        let same = a.metrics.allSatisfy {
            $0.value == b.metrics[$0.key] || ($0.value.isNaN && b.metrics[$0.key]?.isNaN == true)
        }
        (a.metrics, b.metrics) = ([:], [:])
        return same && a == b
    }
}

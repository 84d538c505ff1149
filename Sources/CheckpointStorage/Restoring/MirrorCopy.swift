internal import CheckpointSegments

/// The copy of a store in its mirror, which is opened when it is first needed. The trainer's
/// thread.
final class MirrorCopy {
    private let store: CheckpointStore
    private let mirror: any CheckpointMirror
    private var copy: CheckpointStore?

    /// Opens nothing yet.
    ///
    /// - Parameter store: the store.
    /// - Returns: nil if it has no mirror.
    init?(of store: CheckpointStore) {
        guard let mirror = store.mirror else { return nil }
        (self.store, self.mirror) = (store, mirror)
    }

    /// Name of the place, for people.
    var place: String { mirror.place }

    /// Opens the copy for reading.
    ///
    /// - Returns: nil if there is none yet.
    /// - Throws: codes as `CheckpointStore.open`, and `misuse` (it is of another store).
    func open() throws(CheckpointError) -> CheckpointStore? {
        if let copy { return copy }
        guard let found = try mirror.openStore() else { return nil }
        guard found.id == store.id else {
            throw CheckpointError(
                .misuse, "\(place) is the mirror of another store than \(store.directories.root)",
                remedy: "To continue that store, open an empty directory with this mirror")
        }
        copy = found
        return found
    }
}

/// The mirror of a store, for ranks that restore together. The trainer's thread.
struct MirrorHelp {
    /// Nil if this rank was not given a mirror.
    let copy: MirrorCopy?
    /// Told, on rank 0, why the mirror cannot help, if there is something else to restore.
    let onFailure: (CheckpointError) -> Void

    /// Creates the help of a mirror.
    init(_ copy: MirrorCopy?, onFailure: @escaping (CheckpointError) -> Void) {
        (self.copy, self.onFailure) = (copy, onFailure)
    }

    /// Opens the copy, which rank 0 has found.
    func open() throws(CheckpointError) -> CheckpointStore {
        guard let copy else {
            throw CheckpointError(
                .unsupported, "this rank was not given the mirror that rank 0 restores from",
                remedy: "Give all ranks the same mirror")
        }
        guard let store = try copy.open() else {
            throw CheckpointError(
                .io, "the mirror \(copy.place) of rank 0 is empty for this rank",
                remedy: "Give all ranks the same mirror")
        }
        return store
    }
}

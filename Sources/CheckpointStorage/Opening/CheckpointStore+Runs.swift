internal import CheckpointCatalog
internal import CheckpointFormat
internal import CheckpointSegments
internal import Foundation
internal import SystemPackage

extension CheckpointStore {
    /// Name of a run without a name: that of the store's directory.
    package var defaultRunName: String {
        let name = URL(fileURLWithPath: directories.root.string).standardizedFileURL
            .lastPathComponent
        return name.isEmpty || name == "/" ? "run" : name
    }

    /// Number of the newest checkpoints for which a history does not rely on the catalog.
    private static let verifiedMax = 16

    /// Reads which checkpoint belongs to which run.
    ///
    /// The newest checkpoints are read from their manifests, so that a damaged row of the catalog
    /// hides none of them from a run that is resumed; the others come from the catalog.
    ///
    /// - Returns: the history; entries from the catalog must be compared with a manifest before
    ///   they decide what is restored.
    /// - Throws: code `io` (the store cannot be listed).
    package func runHistory() throws(CheckpointError) -> RunHistory {
        let names = try files.names()
        var members: [RunMember] = []
        var unreadable: [ManifestName] = []
        let (older, newest) = (names.dropLast(Self.verifiedMax), names.suffix(Self.verifiedMax))
        let entries = catalog.members(Array(older)) + newest.map { files.member($0) }
        for (name, member) in zip(names, entries) {
            // A later read of the checkpoint reports the reason.
            do throws(CheckpointError) { members.append(try member.get()) } catch {
                unreadable.append(name)
            }
        }
        return RunHistory(members, unreadable: unreadable, store: id, defaultName: defaultRunName)
    }

    /// Returns the restart id that rank 0 proposes.
    ///
    /// - Parameter own: what this rank would choose; counts on rank 0 alone.
    /// - Returns: `own`, if this process saves alone.
    /// - Throws: codes `timedOut`, `misuse` (the launch is not new), `io`, `noSpace`, `readOnly`.
    package func agreed(_ own: RunID) throws(CheckpointError) -> RunID {
        guard let meeting else { return own }
        let bytes = try meeting.decide { Array(own.description.utf8) }
        guard let restart = RunID(String(decoding: bytes, as: UTF8.self)) else {
            throw CheckpointError(
                .io, "rank 0 sent an invalid restart id",
                remedy: "Start all processes with the same version of the library")
        }
        return restart
    }
}

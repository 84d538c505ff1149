internal import CheckpointCatalog
internal import CheckpointFormat
internal import CheckpointSegments
internal import Foundation
internal import SystemPackage

extension CheckpointStore {
    /// Name of the run that nobody named: that of the store's directory.
    package var defaultRunName: String {
        let name = URL(fileURLWithPath: directories.root.string).standardizedFileURL
            .lastPathComponent
        return name.isEmpty || name == "/" ? "run" : name
    }

    /// Reads which checkpoint belongs to which run.
    ///
    /// - Returns: the history; what the catalog says in it must be compared with a manifest before
    ///   it decides what is restored.
    /// - Throws: code `io` (the store cannot be listed).
    package func runHistory() throws(CheckpointError) -> RunHistory {
        let names = try files.names()
        var members: [RunMember] = []
        var unreadable: [ManifestName] = []
        for (name, member) in zip(names, catalog.members(names)) {
            // A later read of the checkpoint reports the reason.
            do throws(CheckpointError) { members.append(try member.get()) } catch {
                unreadable.append(name)
            }
        }
        return RunHistory(members, unreadable: unreadable, store: id, defaultName: defaultRunName)
    }
}

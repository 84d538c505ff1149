internal import CheckpointCodecs
internal import CheckpointFormat
package import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage
package import SystemPackage

extension CheckpointStore {
    /// Rebuilds `store.json` from the checkpoints if it is missing or damaged
    /// (Formats/durability.md, Repair, Q0).
    ///
    /// Without the file a store cannot be opened, not even for `repair`.
    ///
    /// - Parameters:
    ///   - path: the store's directory.
    ///   - mirror: a mirror of the store, open for reading, whose file is taken if the checkpoints
    ///     are of its store.
    ///   - isDryRun: finds the fault, and changes nothing.
    /// - Returns: the fault and the new identity; nil if the file is intact.
    /// - Throws: codes `damaged` (no checkpoint can be read, so the store's id is unknown),
    ///   `notFound`, `notAStore`, `busy`, `unsupported`, `io`, `readOnly`.
    public static func repairIdentity(
        _ path: String, from mirror: CheckpointStore? = nil, isDryRun: Bool = false
    ) throws(CheckpointError) -> RebuiltIdentity? {
        try repairIdentity(
            POSIXFileSystem(usesDirectIO: false), root: FilePath(path), from: mirror,
            isDryRun: isDryRun)
    }

    /// Rebuilds `store.json` on a given file system; see `repairIdentity(_:isDryRun:)`.
    package static func repairIdentity(
        _ fileSystem: any FileSystem, root: FilePath, from mirror: CheckpointStore? = nil,
        isDryRun: Bool
    ) throws(CheckpointError) -> RebuiltIdentity? {
        try IdentityRepair(
            fileSystem: fileSystem, directories: StoreDirectories(root: root), mirror: mirror
        ).run(isDryRun: isDryRun)
    }
}

/// The rebuilding of a store's damaged identity: the id that most of its checkpoints name, with the
/// bytes of the mirror's file if that has the same id.
private struct IdentityRepair {
    let fileSystem: any FileSystem
    let directories: StoreDirectories
    let mirror: CheckpointStore?

    private var founding: StoreFounding { StoreFounding(fileSystem: fileSystem, directories: directories) }

    func run(isDryRun: Bool) throws(CheckpointError) -> RebuiltIdentity? {
        try founding.requireDirectory()
        do throws(CheckpointError) {
            _ = try founding.identity()
            return nil
        } catch {
            guard error.code == .damaged else { throw error }
            let (identity, count) = try identity(error)
            var bytes = identity.encoded(digest: Hashing.digest)
            if let mirror, mirror.id == identity.id { bytes = try mirror.identityBytes() }
            if !isDryRun { try write(bytes) }
            return RebuiltIdentity(fault: error, id: identity.id, checkpointCount: count)
        }
    }

    /// Returns the identity that most checkpoints name. It has no features: those are declared in
    /// each manifest.
    private func identity(_ fault: CheckpointError) throws(CheckpointError) -> (StoreIdentity, Int) {
        let files = ManifestFiles(fileSystem: fileSystem, directories: directories)
        var counts: [StoreID: Int] = [:]
        var created = Int.max
        for name in try files.names() {
            do throws(CheckpointError) {
                let manifest = try files.load(name).manifest
                counts[manifest.store, default: 0] += 1
                created = min(created, manifest.created)
            } catch {
                // If a manifest is of a newer version, the store's identity may be too.
                guard error.code.meansDamage else { throw error }
            }
        }
        guard let (id, count) = counts.max(by: { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }) else {
            var failure = fault
            failure.remedy =
                "The file cannot be rebuilt, because no checkpoint is readable: "
                + "restore store.json from a backup"
            throw failure
        }
        return (StoreIdentity(id: id, created: created), count)
    }

    /// Writes the new file. A damaged file gets a name in `quarantine/` before it loses its own.
    private func write(_ identity: [UInt8]) throws(CheckpointError) {
        let maintenance = try translating("maintenance") { try MaintenanceLock(fileSystem, directories) }
        guard maintenance != nil else {
            throw CheckpointError(
                .busy, "another process is removing or repacking checkpoints of \(directories.root)", remedy: "Wait until it has finished",
                path: directories.maintenanceLock.string)
        }
        defer { withExtendedLifetime(maintenance) {} }
        let quarantine = Quarantine(fileSystem: fileSystem, directories: directories)
        let staged = directories.staging.appending("\(CheckpointID.random()).json")
        try translating("rebuilding store.json") {
            try fileSystem.makeDirectory(directories.staging)
            if try fileSystem.kind(of: directories.identity) == .file {
                try quarantine.prepare()
                _ = try quarantine.keep(directories.identity, as: "store.json")
                try quarantine.sync()
            }
            try fileSystem.createDurably(staged, identity)
            try fileSystem.replace(directories.identity, with: staged)
            try fileSystem.syncDirectory(directories.root)
        }
    }
}

internal import CheckpointCatalog
internal import CheckpointCodecs
public import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import Foundation
package import SystemPackage

/// A directory of checkpoints (Formats/store-layout.md).
///
/// Any number of processes may open it for reading at any time; one process at a time, or the ranks
/// of one group, may open it for writing. All calls are allowed on any thread.
public final class CheckpointStore: Sendable {
    /// The rights of a process in a store.
    public enum Access: Sendable {
        case reading
        /// Saves checkpoints. Opening takes the writer lock, creates the store if the directory is
        /// missing or empty, and recovers from what an earlier writer left behind.
        case writing
        /// Removes and repacks checkpoints, also while another process writes; one process at a
        /// time.
        case maintaining
    }

    package let fileSystem: any FileSystem
    package let directories: StoreDirectories
    package let files: ManifestFiles
    package let catalog: CatalogIndex
    /// The access that the store was opened with.
    public let access: Access
    /// The store's id.
    public let id: StoreID
    /// The processes that save together, and how they meet; nil if this process saves alone.
    package let meeting: RankMeeting?
    /// The second copy that a checkpointer keeps; nil if there is none.
    public let mirror: (any CheckpointMirror)?
    private let locks: Monitor<Locks>
    /// True while a checkpointer saves here. There is one at a time, since each keeps its own
    /// counts of the segments that may be removed.
    private let hasCheckpointer = Monitor(false)
    /// Files of a killed writer that opening for writing removed.
    public let recovered: Leavings

    /// The locks of a store that is open for writing or maintaining.
    private struct Locks {
        var writer: (any FileLock)?
        var maintenance: MaintenanceLock?
        var isClosed = false
    }

    /// The file system of what is written for people, which is no part of the store.
    package var outputFiles: any FileSystem {
        catalog.isCache ? POSIXFileSystem() : fileSystem
    }

    /// The maintenance lock; nil unless the store is open for maintaining.
    package var maintenance: MaintenanceLock? { locks.withLock { $0.maintenance } }

    /// Opens the store at `path`.
    ///
    /// Opening for writing takes the writer lock, for maintaining the maintenance lock. Both are
    /// taken without waiting, and held until the store is released.
    ///
    /// - Parameters:
    ///   - path: the store's directory.
    ///   - access: the rights to take.
    ///   - usesDirectIO: writes blocks past the page cache, where the file system supports it.
    ///   - ranks: the processes that save one checkpoint together, each of which opens the store
    ///     for writing: rank 0 as its writer, the others without a lock. Nil, or a group of one,
    ///     if this process saves alone.
    ///   - mirror: a second copy elsewhere. A checkpointer of this store keeps it up to date, and
    ///     resumes from it if the store was lost: a store that does not exist is created as the
    ///     one that the mirror is of. Only with access `.writing`.
    ///   - onWarning: called with problems that do not prevent opening, such as a damaged
    ///     checkpoint; from any thread.
    /// - Returns: the open store.
    /// - Throws: codes `notFound`, `notAStore`, `busy`, `readOnly`, `noSpace`, `unsupported`,
    ///   `damaged`, `timedOut` (rank 0 has not created the store), `misuse` (ranks, a mirror),
    ///   `io` (also if the store is new and its mirror cannot be reached: it may hold checkpoints).
    public static func open(
        _ path: String, for access: Access = .reading, usesDirectIO: Bool = true,
        ranks: RankGroup? = nil, mirror: (any CheckpointMirror)? = nil,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CheckpointError) -> CheckpointStore {
        try refuseURL(path)
        return try CheckpointStore(
            fileSystem: POSIXFileSystem(usesDirectIO: usesDirectIO), root: FilePath(path),
            access: access,
            catalog: .store, ranks: ranks, mirror: mirror, onWarning: onWarning)
    }

    /// Refuses what is meant for an object store: it would become a directory named `s3:`.
    private static func refuseURL(_ path: String) throws(CheckpointError) {
        guard let colon = path.firstIndex(of: ":"), path[colon...].hasPrefix("://"),
            colon > path.startIndex,
            path[..<colon].allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) })
        else { return }
        throw CheckpointError(
            .misuse, "\(path) is not a directory",
            remedy: path.hasPrefix("s3://")
                ? "Open a bucket with CheckpointStore.open(S3Location(...)!) of CheckpointObjects"
                : "Only object stores with the S3 protocol are supported (s3://BUCKET/PREFIX)")
    }

    /// Looks for a store, without opening it.
    ///
    /// - Parameter path: the store's directory.
    /// - Returns: true if the path has the identity file of a store, which may be damaged.
    /// - Throws: code `io`, such as for a directory that cannot be searched.
    public static func exists(at path: String) throws(CheckpointError) -> Bool {
        let identity = StoreDirectories(root: FilePath(path)).identity
        do { return try POSIXFileSystem().kind(of: identity) == .file } catch {
            throw CheckpointError(error)
        }
    }

    /// Opens the store on a given file system.
    ///
    /// - Parameters:
    ///   - fileSystem: the file system.
    ///   - root: the store's directory.
    ///   - access: the rights to take.
    ///   - catalog: where the catalog lies.
    ///   - ranks: the processes that save together.
    ///   - mirror: a second copy elsewhere.
    ///   - onWarning: called with problems that do not prevent opening.
    /// - Throws: codes as `open`.
    package init(
        fileSystem: any FileSystem, root: FilePath, access: Access,
        catalog place: CatalogIndex.Place,
        ranks: RankGroup? = nil, mirror: (any CheckpointMirror)? = nil,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CheckpointError) {
        let directories = StoreDirectories(root: root)
        let founding = StoreFounding(fileSystem: fileSystem, directories: directories)
        let group = try Self.group(ranks, access)
        meeting = group.map { RankMeeting(fileSystem, directories, $0) }
        let isWriter = access == .writing && group?.rank ?? 0 == 0
        if isWriter {
            try founding.prepareDirectory()
        } else if let group {
            try founding.awaitIdentity(group.startTimeout)
        }
        try founding.requireDirectory()
        locks = Monitor(
            Locks(
                writer: isWriter ? try founding.takeLock() : nil,
                maintenance: access == .maintaining ? try founding.takeMaintenance() : nil))
        guard mirror == nil || access == .writing else {
            throw CheckpointError(
                .misuse, "a mirror is given for a store that is not opened for writing",
                remedy: "Leave it out, or open the mirror itself")
        }
        self.mirror = mirror
        if isWriter {
            try founding.createIfNew { () throws(CheckpointError) in
                try Self.identity(in: mirror, directories)
            }
        }
        if access == .maintaining { try founding.syncNames() }
        id = try founding.identity().id
        self.fileSystem = fileSystem
        self.directories = directories
        self.access = access
        files = ManifestFiles(fileSystem: fileSystem, directories: directories)
        catalog = CatalogIndex(
            files: files, access: isWriter || access == .maintaining ? .writing : .reading,
            place: place, warn: onWarning)
        recovered =
            isWriter
            ? try Recovery(files: files, catalog: catalog, warn: onWarning).run() : Leavings()
        guard access == .maintaining else { return }
        for (name, error) in catalog.synchronize(with: try files.names()) {
            onWarning("checkpoint \(name) is damaged: \(error)")
        }
    }

    /// Returns the identity of the store that a mirror is of; nil if it is of none yet.
    private static func identity(
        in mirror: (any CheckpointMirror)?, _ directories: StoreDirectories
    ) throws(CheckpointError) -> [UInt8]? {
        guard let mirror else { return nil }
        do throws(CheckpointError) {
            guard let copy = try mirror.openStore() else { return nil }
            return try copy.identityBytes()
        } catch {
            throw CheckpointError(
                error.code,
                "the store \(directories.root) is new, and its mirror \(mirror.place), which may "
                    + "contain its checkpoints, cannot be read: \(error)",
                remedy: "Open the store again when the mirror can be read; "
                    + "to start from scratch, open it without the mirror",
                path: directories.root.string)
        }
    }

    /// Reads `store.json`, which a mirror has byte for byte.
    ///
    /// - Throws: codes `damaged` (too large), `io`.
    package func identityBytes() throws(CheckpointError) -> [UInt8] {
        let path = directories.identity
        let bytes = try translating("reading the store's identity") {
            () throws(FileSystemError) in
            try fileSystem.contents(of: path, atMost: Limits.storeJSONBytesMax)
        }
        guard let bytes else {
            throw CheckpointError(.damaged, "\(path) is too large", path: path.string)
        }
        return bytes
    }

    /// Returns the processes that save together; nil if this one saves alone.
    private static func group(
        _ ranks: RankGroup?, _ access: Access
    ) throws(CheckpointError) -> RankGroup? {
        guard let ranks else { return nil }
        try ranks.check()
        guard ranks.worldSize > 1 else { return nil }
        guard access == .writing else {
            throw CheckpointError(
                .misuse, "ranks are given for a store that is not opened for writing",
                remedy: "Leave them out: a reader needs no other process")
        }
        return ranks
    }

    /// Closes the store: other processes may write to it now.
    ///
    /// Without this call the locks are held until the last reference to the store is gone. What is
    /// read through this object stays readable. A second call does nothing.
    ///
    /// - Throws: code `misuse` (a checkpointer still saves here; close it first).
    public func close() throws(CheckpointError) {
        guard !hasCheckpointer.withLock({ $0 }) else {
            throw CheckpointError(
                .misuse, "a checkpointer saves to \(directories.root)", remedy: "Close it first",
                path: directories.root.string)
        }
        // Released outside the lock of this object.
        let locks = locks.withLock { locks in
            defer { locks = Locks(isClosed: true) }
            return locks
        }
        withExtendedLifetime(locks) {}
    }

    /// Claims the store for one checkpointer of this process.
    ///
    /// - Returns: the claim, which ends with `end()` or its last reference.
    /// - Throws: code `busy` (another checkpointer of this process saves here).
    package func claimForCheckpointer() throws(CheckpointError) -> CheckpointerClaim {
        guard !locks.withLock({ $0.isClosed }) else {
            throw CheckpointError(
                .misuse, "the store \(directories.root) is closed", remedy: "Open it again")
        }
        let wasTaken = hasCheckpointer.withLock { isTaken in
            defer { isTaken = true }
            return isTaken
        }
        guard !wasTaken else {
            throw CheckpointError(
                .busy, "another checkpointer of this process saves to \(directories.root)",
                remedy: "Close it first",
                path: directories.root.string)
        }
        return CheckpointerClaim { [hasCheckpointer] in hasCheckpointer.withLock { $0 = false } }
    }

    /// Lists all checkpoints.
    ///
    /// - Returns: summaries, newest first; an error in place of each damaged checkpoint.
    /// - Throws: codes `io` (the store cannot be listed).
    public func checkpoints() throws(CheckpointError) -> [Result<
        CheckpointSummary, CheckpointError
    >] {
        try summaries(of: try files.names().reversed())
    }

    /// Counts the differences between the catalog and the manifests.
    ///
    /// - Returns: the number of checkpoints without a row, and of rows without a checkpoint; nil if
    ///   the catalog cannot be used.
    package func catalogGap() throws(CheckpointError) -> (unknown: Int, gone: Int)? {
        catalog.gap(try files.names())
    }

    /// Lists the newest checkpoints.
    ///
    /// - Parameter limit: maximum number of checkpoints.
    /// - Returns: summaries, newest first; an error in place of each damaged checkpoint.
    /// - Throws: codes `io` (the store cannot be listed).
    public func newest(_ limit: Int) throws(CheckpointError) -> [Result<
        CheckpointSummary, CheckpointError
    >] {
        try summaries(of: try files.names().suffix(limit).reversed())
    }

    /// Returns the summaries of checkpoints, or why one cannot be read, in the order of `names`.
    ///
    /// - Throws: codes `io`, `damaged` (marks).
    package func summaries(of names: [ManifestName]) throws(CheckpointError) -> [Result<
        CheckpointSummary, CheckpointError
    >] {
        let marks = try marks()
        let (tags, defaultRunName) = (marks.tagsByName(), defaultRunName)
        return catalog.entries(names).map { entry in
            entry.map {
                CheckpointSummary(
                    $0, in: id, tags: tags[$0.name] ?? [], isPinned: marks.pins.contains($0.name),
                    defaultRunName: defaultRunName)
            }
        }
    }
}

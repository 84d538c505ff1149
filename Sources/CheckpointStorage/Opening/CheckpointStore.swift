internal import CheckpointCatalog
internal import CheckpointCodecs
public import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import Foundation
package import SystemPackage

/// A directory of checkpoints (Formats/store-layout.md).
///
/// Open it for reading from any number of processes at any time; one process at a time may open it for writing.
public final class CheckpointStore: Sendable {
    /// What a process may do with a store.
    public enum Access: Sendable {
        case reading
        /// Takes the writer's lock, creates the store if the directory is missing or empty, and recovers from whatever an
        /// earlier writer left.
        case writing
        /// May remove and repack checkpoints, also while another process writes; one process at a time.
        case maintaining
    }

    package let fileSystem: any FileSystem
    package let directories: StoreDirectories
    package let files: ManifestFiles
    package let catalog: CatalogIndex
    /// How the store was opened.
    public let access: Access
    /// The store's id.
    public let id: StoreID
    private let lock: (any FileLock)?
    /// Whether a checkpointer saves here: each counts for itself what may be removed, so there is one at a time.
    private let hasCheckpointer = Monitor(false)
    package let maintenance: MaintenanceLock?

    /// Opens the store at `path`.
    /// - Parameter onWarning: told of what is not in order and stops nothing, such as a damaged checkpoint.
    /// - Parameter usesDirectIO: writes blocks past the page cache, where the file system takes it.
    /// - Throws: codes `notFound`, `notAStore`, `busy`, `readOnly`, `noSpace`, `unsupported`, `damaged`, `io`.
    public static func open(
        _ path: String, for access: Access = .reading, usesDirectIO: Bool = true,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CheckpointError) -> CheckpointStore {
        try CheckpointStore(
            fileSystem: POSIXFileSystem(usesDirectIO: usesDirectIO), root: FilePath(path), access: access,
            usesCatalog: true, onWarning: onWarning)
    }

    /// - Parameter usesCatalog: false for file systems that SQLite cannot see.
    package init(
        fileSystem: any FileSystem, root: FilePath, access: Access, usesCatalog: Bool,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CheckpointError) {
        let directories = StoreDirectories(root: root)
        let founding = StoreFounding(fileSystem: fileSystem, directories: directories)
        if access == .writing { try founding.prepareDirectory() }
        try founding.requireDirectory()
        lock = access == .writing ? try founding.takeLock() : nil
        maintenance = access == .maintaining ? try founding.takeMaintenance() : nil
        if access == .writing { try founding.createIfNew() }
        id = try founding.identity().id
        self.fileSystem = fileSystem
        self.directories = directories
        self.access = access
        files = ManifestFiles(fileSystem: fileSystem, directories: directories)
        catalog = CatalogIndex(
            files: files, access: access == .reading ? .reading : .writing, isEnabled: usesCatalog, warn: onWarning)
        if access == .writing { try Recovery(files: files, catalog: catalog, warn: onWarning).run() }
        guard access == .maintaining else { return }
        for (name, error) in catalog.synchronize(with: try files.names()) { onWarning("checkpoint \(name) is damaged: \(error)") }
    }

    package func claimForCheckpointer() throws(CheckpointError) -> CheckpointerClaim {
        let wasTaken = hasCheckpointer.withLock { isTaken in
            defer { isTaken = true }
            return isTaken
        }
        guard !wasTaken else {
            throw CheckpointError(
                .busy, "another checkpointer of this process saves to \(directories.root)", remedy: "Close it first",
                path: directories.root.string)
        }
        return CheckpointerClaim { [hasCheckpointer] in hasCheckpointer.withLock { $0 = false } }
    }

    /// All checkpoints, newest first. Damaged ones have an error in their place.
    public func checkpoints() throws(CheckpointError) -> [Result<CheckpointSummary, CheckpointError>] {
        try summaries(try files.names().reversed())
    }

    /// How far the catalog is from the manifests: checkpoints that it does not know, and those that are gone; nil if it cannot be used.
    package func catalogGap() throws(CheckpointError) -> (unknown: Int, gone: Int)? { catalog.gap(try files.names()) }

    /// The newest `limit` checkpoints.
    public func newest(_ limit: Int) throws(CheckpointError) -> [Result<CheckpointSummary, CheckpointError>] {
        try summaries(try files.names().suffix(limit).reversed())
    }

    private func summaries(_ names: [ManifestName]) throws(CheckpointError) -> [Result<CheckpointSummary, CheckpointError>] {
        let marks = try marks()
        let tags = marks.tagsByName()
        return catalog.entries(names).map { entry in
            entry.map { CheckpointSummary($0, tags: tags[$0.name] ?? [], isPinned: marks.pins.contains($0.name)) }
        }
    }
}

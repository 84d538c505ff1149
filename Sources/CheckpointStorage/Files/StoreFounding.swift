internal import CheckpointCodecs
internal import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import Foundation
internal import SystemPackage

/// Creates and recognizes stores (Formats/store-layout.md, Opening).
///
/// The thread that opens the store.
package struct StoreFounding {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories

    /// Creates nothing yet.
    ///
    /// - Parameters:
    ///   - fileSystem: the file system.
    ///   - directories: paths of the store.
    package init(fileSystem: any FileSystem, directories: StoreDirectories) {
        (self.fileSystem, self.directories) = (fileSystem, directories)
    }

    private func attempt<R>(_ body: () throws(FileSystemError) -> R) throws(CheckpointError) -> R {
        do { return try body() } catch { throw CheckpointError(error) }
    }

    /// Creates the store's root directory, with its parents, if nothing exists at its path.
    ///
    /// - Throws: codes `io`, `readOnly`, `noSpace`.
    package func prepareDirectory() throws(CheckpointError) {
        do throws(FileSystemError) { try makeDirectory(directories.root) } catch {
            // A name that exists and leads to nothing.
            guard error.errno == .fileExists, error.path == directories.root else {
                throw CheckpointError(error)
            }
            throw CheckpointError(
                .io, "\(directories.root) is a symbolic link to a path that does not exist",
                remedy: "Mount or create that path, or remove the link",
                path: directories.root.string)
        }
    }

    /// Creates a directory with its parents. The names of the parents are durable; that of the
    /// directory itself is made durable with the store's identity.
    private func makeDirectory(_ path: FilePath) throws(FileSystemError) {
        guard try fileSystem.kind(of: path) == nil else { return }
        if let parent = path.lexicallyNormalized().parent, parent != path,
            try fileSystem.kind(of: parent) == nil
        {
            try makeDirectory(parent)
            if let above = parent.parent { try fileSystem.syncDirectory(above) }
        }
        try fileSystem.makeDirectory(path)
    }

    /// Waits until another process has created the store, by listing its directory.
    ///
    /// - Parameter timeout: how long.
    /// - Throws: codes `timedOut`, `io`.
    package func awaitIdentity(_ timeout: Duration) throws(CheckpointError) {
        let deadline = ContinuousClock.now + timeout
        let name = directories.identity.lastComponent?.string ?? ""
        while true {
            let names = try attempt { () throws(FileSystemError) in
                try fileSystem.listIfThere(directories.root)
            }
            if names.contains(name) { return }
            guard ContinuousClock.now < deadline else {
                throw CheckpointError(
                    .timedOut, "rank 0 did not open \(directories.root) within \(timeout)",
                    remedy: "Check that rank 0 is running, and read its log",
                    path: directories.root.string)
            }
            Thread.sleep(forTimeInterval: 0.01)
        }
    }

    /// Checks that the store's root is a directory.
    ///
    /// - Throws: codes `notFound`, `notAStore`, `io`.
    package func requireDirectory() throws(CheckpointError) {
        let root = directories.root.string
        switch try attempt({ () throws(FileSystemError) in try fileSystem.kind(of: directories.root)
        })
        {
        case .directory: return
        case nil:
            throw CheckpointError(
                .notFound, "\(root) does not exist",
                remedy: "Check the path. A trainer or ckpt import creates a store", path: root)
        default:
            throw CheckpointError(
                .notAStore, "\(root) is a file, not a store",
                remedy: "Give the path of a directory", path: root)
        }
    }

    /// Takes the exclusive lock of the writer, without waiting.
    ///
    /// - Returns: the lock, held until it is released.
    /// - Throws: codes `busy` (another process writes), `notAStore` (the directory holds other
    ///   files), `damaged` (checkpoints without `store.json`), `io`, `readOnly`.
    package func takeLock() throws(CheckpointError) -> any FileLock {
        if try kindOfIdentity() == nil { try requireEmptyOrInterrupted() }
        let lock: (any FileLock)?
        do throws(FileSystemError) { lock = try fileSystem.lockAndRecord(directories.lock) } catch {
            throw lockError(error)
        }
        if let lock { return lock }
        throw busy(
            directories.lock, "writing to \(directories.root)",
            remedy: "Wait until it has finished, or stop it. Opening for reading always works")
    }

    /// Returns the error for a lock that is held.
    private func busy(_ lock: FilePath, _ action: String, remedy: String) -> CheckpointError {
        guard let holder = fileSystem.holder(ofLock: lock) else {
            return CheckpointError(
                .busy, "another process is \(action)", remedy: remedy, path: lock.string)
        }
        return CheckpointError(
            .busy,
            "\(holder.isThisProcess ? "this process is" : "another process is") \(action) already: \(holder)",
            remedy: holder.isThisProcess
                ? "Call close() on the CheckpointStore that is open" : remedy,
            path: lock.string)
    }

    /// Takes the maintenance lock of an existing store, without waiting.
    ///
    /// - Returns: the lock, held until it is released.
    /// - Throws: codes `busy` (another process removes or repacks), `notAStore`, `damaged`
    ///   (checkpoints without `store.json`), `io`, `readOnly`.
    package func takeMaintenance() throws(CheckpointError) -> MaintenanceLock {
        guard try kindOfIdentity() == .file else { return try notAStore() }
        let maintenance = try attempt { () throws(FileSystemError) in
            try MaintenanceLock(fileSystem, directories, isRecorded: true)
        }
        if let maintenance { return maintenance }
        throw busy(
            directories.maintenanceLock, "removing or repacking checkpoints of \(directories.root)",
            remedy: "Wait until it has finished")
    }

    private static let remedy = "Run ckpt repair: it rebuilds store.json from the checkpoints"

    private func notAStore<R>() throws(CheckpointError) -> R {
        if try holdsCheckpoints() {
            throw CheckpointError(
                .damaged, "\(directories.root) contains checkpoints, but no store.json",
                remedy: Self.remedy,
                path: directories.identity.string)
        }
        throw CheckpointError(
            .notAStore, "\(directories.root) is not a store: it has no store.json",
            path: directories.root.string)
    }

    /// Reads `store.json`.
    ///
    /// - Throws: codes `notAStore`, `damaged`, `unsupported` (a newer version), `io`.
    package func identity() throws(CheckpointError) -> StoreIdentity {
        let path = directories.identity
        guard try kindOfIdentity() == .file else { return try notAStore() }
        let bytes = try attempt { () throws(FileSystemError) in
            try fileSystem.contents(of: path, atMost: Limits.storeJSONBytesMax)
        }
        guard let bytes else {
            throw CheckpointError(
                .damaged, "\(path) is too large", remedy: Self.remedy, path: path.string)
        }
        do { return try StoreIdentity(decoding: bytes[...], digest: Hashing.digest) } catch {
            var failure = CheckpointError(error, path: path.string)
            if failure.code == .damaged { failure.remedy = Self.remedy }
            throw failure
        }
    }

    private func kindOfIdentity() throws(CheckpointError) -> FileKind? {
        try attempt { () throws(FileSystemError) in try fileSystem.kind(of: directories.identity) }
    }

    /// Checks that a directory may become a store: it is empty, or holds only what an interrupted
    /// creation leaves.
    private func requireEmptyOrInterrupted() throws(CheckpointError) {
        let names = try attempt { () throws(FileSystemError) in
            try fileSystem.list(directories.root)
        }
        if try holdsCheckpoints() { return try notAStore() }
        guard
            let foreign = names.sorted().first(where: { !Self.isMadeBeforeIdentity($0) })
        else { return }
        throw CheckpointError(
            .notAStore, "\(directories.root) is neither a store nor empty: it contains \(foreign)",
            remedy: "Give an empty or new directory", path: directories.root.string)
    }

    /// Returns true if the creation of a store makes a file or directory of this name in the
    /// store's directory before `store.json`.
    package static func isMadeBeforeIdentity(_ name: String) -> Bool {
        let names: Set = [
            "manifests", "segments", "staging", "writer.lock", "maintenance.lock", "generation",
        ]
        return names.contains(name) || name.hasPrefix(probePrefix)
    }

    private func holdsCheckpoints() throws(CheckpointError) -> Bool {
        try attempt { () throws(FileSystemError) in
            guard try fileSystem.kind(of: directories.manifests) == .directory else { return false }
            return try fileSystem.list(directories.manifests).contains { ManifestName($0) != nil }
        }
    }

    /// Creates the store's directories, then `store.json`, so that its presence implies a complete
    /// store.
    ///
    /// In a copy of a store that lacks its empty directories, they are created again.
    ///
    /// - Parameter known: returns the `store.json` of a lost store that this one is to be; nil if
    ///   it is a new one. Called only if there is none.
    /// - Throws: codes `io`, `readOnly`, `noSpace`, and the error of `known`.
    package func createIfNew(
        as known: () throws(CheckpointError) -> [UInt8]? = { () throws(CheckpointError) in nil }
    ) throws(CheckpointError) {
        var content: [UInt8]?
        if try kindOfIdentity() == nil {
            try requireLinks()
            content = try known()
        }
        try attempt { () throws(FileSystemError) in
            for directory in [directories.manifests, directories.segments, directories.staging] {
                try fileSystem.makeDirectory(directory)
            }
        }
        prepareMaintenance()
        guard try kindOfIdentity() == nil else { return try syncNames() }
        let new = StoreIdentity(id: .random(), created: Clock.milliseconds)
        let identity = content ?? new.encoded(digest: Hashing.digest)
        let staged = directories.staging.appending("\(new.id).json")
        try attempt { () throws(FileSystemError) in
            try fileSystem.syncDirectory(directories.root)
            try fileSystem.createDurably(staged, identity)
            try fileSystem.link(staged, to: directories.identity)
        }
        try syncNames()
        // If it stays, recovery removes it.
        try? fileSystem.remove(staged)
    }

    /// Makes what other processes have done to the names of the store durable. One that was killed
    /// may have created, replaced or removed files, and not synced that; one that copied the store
    /// may never do so.
    ///
    /// - Throws: code `io`.
    package func syncNames() throws(CheckpointError) {
        try attempt { () throws(FileSystemError) in
            for directory in [
                directories.segments, directories.manifests, directories.tags, directories.pins,
                directories.root,
            ] {
                try fileSystem.syncDirectoryIfThere(directory)
            }
            try fileSystem.syncName(of: directories.root)
        }
    }
}

extension StoreFounding {
    /// Checks that the file system has hard links, before anything is made that would stay.
    ///
    /// - Throws: code `unsupported` if it has none; `io`, `readOnly`, `noSpace`.
    private func requireLinks() throws(CheckpointError) {
        // Left by a process that was killed here.
        let names = try attempt { () throws(FileSystemError) in
            try fileSystem.list(directories.root)
        }
        for name in names where name.hasPrefix(Self.probePrefix) {
            try? fileSystem.remove(directories.root.appending(name))  // readers ignore it
        }
        let probe = directories.root.appending("\(Self.probePrefix)\(CheckpointID.random())")
        let other = FilePath(probe.string + "-link")
        // Readers and writers of a store ignore a file that cannot be removed.
        defer { for path in [probe, other] { try? fileSystem.remove(path) } }
        try attempt { () throws(FileSystemError) in try fileSystem.create(probe).close() }
        do throws(FileSystemError) { try fileSystem.link(probe, to: other) } catch {
            guard error.isMissingOperation else { throw CheckpointError(error) }
            throw CheckpointError(
                .unsupported,
                "the file system of \(directories.root) has no hard links (\(error.errno)), which a store needs to publish checkpoints",
                remedy:
                    "Put the store on another file system, such as ext4, XFS or NFS; "
                    + "exports can be written to this one",
                path: directories.root.string)
        }
    }

    /// Beginning of the names of files that are made and removed to try the file system.
    private static let probePrefix = "probe-"

    /// Says that locks are missing, rather than that one call failed.
    private func lockError(_ error: FileSystemError) -> CheckpointError {
        guard error.isMissingOperation else { return CheckpointError(error) }
        return CheckpointError(
            .unsupported,
            "the file system of \(directories.root) has no locks (\(error)), which a store needs to exclude a second writer",
            remedy:
                "Mount it with locks (Lustre: -o flock; NFS: without nolock), or put the store elsewhere",
            path: directories.root.string)
    }

    /// Creates the files that removing checkpoints needs, so that it needs no space later.
    private func prepareMaintenance() {
        // On a full disk they are created later, when there is room.
        if let file = try? fileSystem.create(directories.maintenanceLock) { file.close() }
        // Fails, too, if the file exists.
        guard let file = try? fileSystem.create(directories.generation) else { return }
        // An empty file means the same.
        try? file.write(MaintenanceLock.firstGeneration, at: 0)
        file.close()
    }
}

extension SystemPackage.FilePath {
    /// The directory that contains this one; nil for the root of the file system.
    fileprivate var parent: FilePath? {
        let parent = removingLastComponent()
        return parent.isEmpty ? (isAbsolute ? nil : FilePath(".")) : parent
    }
}

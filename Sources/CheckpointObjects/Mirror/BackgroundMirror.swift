internal import CheckpointIO
internal import CheckpointMaintenance
internal import CheckpointSegments
public import CheckpointStorage
package import SystemPackage

/// A mirror in a bucket or a directory that a trainer's process keeps up to date while it saves.
///
///     let bucket = BackgroundMirror(.bucket(S3Location("s3://bucket/first")!))
///     try withCheckpointer("runs/first", state: state, mirror: bucket) { checkpointer in
///         try checkpointer.resume()
///         ...
///     }
///
/// Each checkpoint is sent after it is committed, the newest first, by a thread that gives way to
/// all others. What is there is not sent again, also after a crash. If the directory is lost,
/// `resume` restores from the mirror.
public struct BackgroundMirror: CheckpointMirror {
    /// Place of the mirror.
    private enum Target: Sendable {
        case place(StoreMirror.Place)
        case objects(any ObjectStore, cache: FilePath)
    }

    private let target: Target
    private let bytesPerSecond: Int?
    private let policy: RetentionPolicy?
    /// Shortest time between two removals of what the policy does not keep.
    package var prunesEvery = Duration.seconds(60)

    /// Describes a mirror; nothing is read or written yet.
    ///
    /// - Parameters:
    ///   - place: a mirror of the same store, or nothing yet.
    ///   - bytesPerSecond: maximum speed; nil for none.
    ///   - policy: the checkpoints that the mirror keeps, whatever the store itself keeps; nil for
    ///     all. The newest of each run, tagged and pinned ones always stay. What the policy would
    ///     remove at once is not sent.
    public init(
        _ place: StoreMirror.Place, bytesPerSecond: Int? = nil,
        keeping policy: RetentionPolicy? = nil
    ) {
        (target, self.bytesPerSecond, self.policy) = (.place(place), bytesPerSecond, policy)
    }

    /// Describes a mirror of objects.
    ///
    /// - Parameters:
    ///   - objects: the objects.
    ///   - cache: a directory on this machine, of this mirror alone.
    ///   - policy: the checkpoints that the mirror keeps; nil for all.
    package init(
        _ objects: any ObjectStore, cache: FilePath, keeping policy: RetentionPolicy? = nil
    ) {
        (target, self.policy) = (.objects(objects, cache: cache), policy)
        bytesPerSecond = nil
    }

    /// Name of the place: a path, or "s3://bucket/prefix".
    public var place: String {
        switch target {
        case .place(.directory(let path)): path
        case .place(.bucket(let location)): location.description
        case .objects(let objects, _): objects.description
        }
    }

    /// Opens the copy for reading.
    ///
    /// - Returns: nil if there is no store yet.
    /// - Throws: codes as `CheckpointStore.open`.
    public func openStore() throws(CheckpointError) -> CheckpointStore? {
        if case .place(.directory(let path)) = target, try isUnused(path) { return nil }
        do throws(CheckpointError) { return try open(for: .reading) } catch {
            // An empty place in a bucket.
            guard error.code == .notAStore, !isDirectory else { throw error }
            return nil
        }
    }

    private var isDirectory: Bool {
        if case .place(.directory) = target { true } else { false }
    }

    /// Returns true if nothing was ever written to a directory. A link that leads nowhere, or
    /// directories without what was in them, may be a mirror that is out of reach.
    private func isUnused(_ path: String) throws(CheckpointError) -> Bool {
        let (files, directories) = (POSIXFileSystem(), StoreDirectories(root: FilePath(path)))
        do throws(FileSystemError) {
            guard try files.identity(of: directories.root) != nil else {
                return try isBelowDirectory(directories.root, files)
            }
            guard try files.kind(of: directories.identity) == nil else {
                // Opened as a store, which may have no checkpoints.
                _ = try files.list(directories.manifests)
                return false
            }
            for directory in [directories.segments, directories.manifests] {
                if try !files.listIfThere(directory).isEmpty { return false }
            }
            let names = try files.list(directories.root)
            return names.allSatisfy { StoreFounding.isMadeBeforeIdentity($0) }
        } catch {
            var failure = CheckpointError(error)
            // It is not known to be absent.
            failure.code = .io
            failure.remedy = "Check that the disk of the mirror is mounted"
            throw failure
        }
    }

    /// Checks that a path can be created: the nearest of its parents that exists is a directory.
    private func isBelowDirectory(
        _ path: FilePath, _ files: POSIXFileSystem
    ) throws(FileSystemError) -> Bool {
        var parent = path.lexicallyNormalized().removingLastComponent()
        while !parent.isEmpty, try files.identity(of: parent) == nil {
            parent = parent.removingLastComponent()
        }
        let kind = parent.isEmpty ? .directory : try files.kind(of: parent)
        guard kind == .directory else {
            throw FileSystemError("looking for the mirror", path, .notDirectory)
        }
        return true
    }

    private func open(
        for access: CheckpointStore.Access
    ) throws(CheckpointError) -> CheckpointStore {
        switch target {
        case .place(.directory(let path)): try CheckpointStore.open(path, for: access)
        case .place(.bucket(let location)): try CheckpointStore.open(location, for: access)
        case .objects(let objects, let cache):
            try CheckpointStore.open(
                objects, root: FilePath(objects.description), cache: cache, for: access)
        }
    }

    /// Begins to keep the copy up to date, on a thread named `ckpt-mirror`.
    ///
    /// - Parameters:
    ///   - store: the store that is copied; open for writing.
    ///   - onEvent: called on that thread.
    /// - Returns: the work in the background; it ends with `stop`.
    /// - Throws: codes `misuse` (the policy or the speed is no number that makes sense), `io` (the
    ///   system cannot create a thread).
    public func follow(
        _ store: CheckpointStore, onEvent: @escaping @Sendable (MirrorEvent) -> Void
    ) throws(CheckpointError) -> any MirrorFollowing {
        if let mistake = policy?.mistake { throw CheckpointError(.misuse, mistake) }
        if let bytesPerSecond, bytesPerSecond < 1 {
            throw CheckpointError(
                .misuse, "bytesPerSecond must be at least 1 (got \(bytesPerSecond))")
        }
        if case .place(.directory(let path)) = target {
            try MirrorIdentity.requireApart(path, from: store)
        }
        let policy = MirrorPolicy(policy)
        return try MirrorFollower(
            .init(
                connect: { cancellation throws(CheckpointError) in
                    try connect(store, cancellation)
                },
                tidyUp: { () throws(CheckpointError) in
                    if let policy { try prune(policy.rules) }
                },
                unwanted: { mirrored throws(CheckpointError) in
                    guard let policy else { return [] }
                    return try policy.unwanted(in: store, mirrored: mirrored) {
                        () throws(CheckpointError) in try openStore()
                    }
                },
                newestAtStart: store.files.names().last, tidyEvery: prunesEvery),
            onEvent: onEvent)
    }

    private func connect(
        _ store: CheckpointStore, _ cancellation: Cancellation
    ) throws(CheckpointError) -> StoreMirror {
        switch target {
        case .place(let place):
            try StoreMirror(
                of: store, to: place, bytesPerSecond: bytesPerSecond, cancellation: cancellation)
        case .objects(let objects, _):
            try StoreMirror(of: store, to: objects, bytesPerSecond: bytesPerSecond)
        }
    }

    /// Removes from the mirror what the policy does not keep.
    private func prune(_ policy: RetentionPolicy) throws(CheckpointError) {
        let copy = try open(for: .maintaining)
        _ = try copy.prune(policy)
        try copy.close()
    }
}

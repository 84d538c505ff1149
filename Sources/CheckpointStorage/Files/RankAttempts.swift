package import CheckpointFormat
package import CheckpointIO
internal import CheckpointSegments
package import SystemPackage

/// The directories in `parts/`: attempts of several ranks, in flight, committed or abandoned
/// (Formats/durability.md, Several ranks).
///
/// Any thread; it takes no lock.
package struct RankAttempts {
    package let files: ManifestFiles
    /// Time that an attempt is left alone after the last of its ranks has begun, in milliseconds.
    package static let leaseMilliseconds = 24 * 60 * 60 * 1000

    private static let collectedSuffix = ".collected"

    package init(files: ManifestFiles) { self.files = files }

    private var fileSystem: any FileSystem { files.fileSystem }
    private var directories: StoreDirectories { files.directories }

    /// The state of an attempt.
    package struct Attempt: Sendable {
        package var name: AttemptName
        /// Number of ranks; nil if none has begun.
        package var worldSize: Int?
        /// Ranks that have begun, and those whose part is durable; ascending.
        package var begun: [Int] = []
        package var saved: [Int] = []
        /// Ranks that have recorded a failure; ascending.
        package var failed: [Int] = []
        /// Time at which the last rank began, in milliseconds since 1970; nil if none has.
        package var lastBegun: Int?

        /// Returns true if recovery must leave the attempt's files alone.
        ///
        /// - Parameter now: the time, in milliseconds since 1970.
        package func isLeased(_ now: Int) -> Bool {
            lastBegun.map { now - $0 < RankAttempts.leaseMilliseconds } ?? false
        }
    }

    /// Lists the attempts.
    ///
    /// - Returns: the attempts, by name, committed ones included.
    /// - Throws: the error of the system call.
    package func list() throws(FileSystemError) -> [Attempt] {
        var attempts: [Attempt] = []
        for text in try fileSystem.listIfThere(directories.parts).sorted() {
            guard let name = AttemptName(text) else { continue }
            attempts.append(try attempt(name))
        }
        return attempts
    }

    /// Finds the save that ranks may be making now: the latest attempt at a checkpoint that is
    /// newer than all that are published. Whether its ranks still run is not known.
    ///
    /// - Parameter published: the newest published checkpoint; nil if there is none.
    /// - Returns: the attempt; nil if there is none, or its lease has ended.
    /// - Throws: the error of the system call.
    package func inFlight(
        after published: ManifestName?
    ) throws(FileSystemError) -> Attempt? {
        let names = try fileSystem.listIfThere(directories.parts).compactMap { AttemptName($0) }
        let newer = names.filter { name in published.map { name.checkpoint > $0 } ?? true }
        guard let newest = newer.map(\.checkpoint).max() else { return nil }
        var latest: Attempt?
        let known = try self.published()
        for name in newer where name.checkpoint == newest && !isCommitted(name, known) {
            let attempt = try attempt(name)
            guard attempt.isLeased(Clock.milliseconds) else { continue }
            if attempt.lastBegun ?? 0 >= latest?.lastBegun ?? 0 { latest = attempt }
        }
        return latest
    }

    private func attempt(_ name: AttemptName) throws(FileSystemError) -> Attempt {
        var attempt = Attempt(name: name)
        for file in try fileSystem.listIfThere(directories.path(of: name)) {
            switch PartName(file) {
            case .begun(let rank, let worldSize, let time):
                attempt.worldSize = worldSize
                attempt.begun.append(rank)
                attempt.lastBegun = max(attempt.lastBegun ?? 0, time)
            case .part(let rank, let worldSize):
                attempt.worldSize = worldSize
                attempt.saved.append(rank)
            case .failed(let rank): attempt.failed.append(rank)
            case .index, nil: break
            }
        }
        attempt.begun = Set(attempt.begun).sorted()
        attempt.saved.sort()
        attempt.failed.sort()
        return attempt
    }

    /// Lists the attempts that are not committed: in flight, abandoned, or failed.
    ///
    /// - Throws: the error of the system call.
    package func uncommitted() throws(FileSystemError) -> [Attempt] {
        let published = try published()
        return try list().filter { !isCommitted($0.name, published) }
    }

    /// Returns the failure that a rank has recorded; nil if it cannot be read.
    package func failure(of rank: Int, in attempt: AttemptName) -> String? {
        let path = directories.path(of: .failed(rank: rank), in: attempt)
        // The text is for people only.
        let text = try? fileSystem.contents(of: path, atMost: RankMessages.textBytesMax)
        return text.flatMap { $0 }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Removes the attempts that are neither committed nor leased: steps X1 to X3.
    ///
    /// The directory is renamed first: from then on nothing of the attempt can be published, since
    /// its root is linked from there. A root that was published before the renaming is then seen.
    ///
    /// - Parameters:
    ///   - now: the time, in milliseconds since 1970.
    ///   - remove: removes a file.
    /// - Returns: the attempts that stay and are not committed: their segments and staged files stay
    ///   too.
    /// - Throws: the error of the system call, or of `remove`.
    package func collect(
        now: Int, remove: (FilePath) throws -> Void
    ) throws -> Set<CheckpointID> {
        var kept: Set<CheckpointID> = []
        let published = try published()
        for attempt in try list() where !isCommitted(attempt.name, published) {
            guard !attempt.isLeased(now) else {
                kept.insert(attempt.name.attempt)
                continue
            }
            let path = directories.path(of: attempt.name)
            try fileSystem.replace(collectedPath(of: attempt.name), with: path)  // X1
        }
        let renamed = try fileSystem.listIfThere(directories.parts).filter {
            $0.hasSuffix(Self.collectedSuffix)
        }
        guard !renamed.isEmpty else { return kept }
        let now = try self.published()
        for text in renamed {
            guard let name = AttemptName(String(text.dropLast(Self.collectedSuffix.utf8.count)))
            else { continue }
            let collected = directories.parts.appending(text)
            guard !isCommitted(name, now) else {  // X2
                try fileSystem.replace(directories.path(of: name), with: collected)
                continue
            }
            for file in try fileSystem.list(collected) { try remove(collected.appending(file)) }
            try fileSystem.removeDirectory(collected)  // X3
        }
        return kept
    }

    /// Removes the directories of launches whose youngest message is older than a lease.
    ///
    /// - Parameters:
    ///   - now: the time, in milliseconds since 1970.
    ///   - remove: removes a file.
    /// - Throws: the error of the system call, or of `remove`.
    package func collectLaunches(now: Int, remove: (FilePath) throws -> Void) throws {
        for text in try fileSystem.listIfThere(directories.parts) where LaunchName(text) != nil {
            let launch = directories.parts.appending(text)
            let files = try fileSystem.listIfThere(launch)
            let youngest = files.compactMap { name -> Int? in
                let path = launch.appending(name)
                // A message that cannot be read is of no use to the ranks either.
                let bytes = try? fileSystem.contents(of: path, atMost: LaunchMessage.bytesMax)
                return bytes.flatMap { LaunchMessage(decoding: $0)?.milliseconds }
            }.max()
            // Without a message: a rank is about to write one, or never will.
            guard let youngest, now - youngest >= Self.leaseMilliseconds else { continue }
            for file in files { try remove(launch.appending(file)) }
            try fileSystem.removeDirectory(launch)
        }
    }

    /// Returns those of several attempts whose ranks may still publish the checkpoint again, and
    /// cannot be kept from it: where directories cannot be renamed, and before the lease has ended.
    ///
    /// - Parameters:
    ///   - attempts: attempts that are committed.
    ///   - now: the time, in milliseconds since 1970.
    /// - Throws: the error of the system call.
    package func unretirable(
        _ attempts: [AttemptName], now: Int
    ) throws(FileSystemError) -> Set<AttemptName> {
        guard !fileSystem.excludesOtherWriters else { return [] }
        var leased: Set<AttemptName> = []
        for name in attempts where try attempt(name).isLeased(now) { leased.insert(name) }
        return leased
    }

    /// Makes sure that no rank that is late publishes removed checkpoints again.
    ///
    /// The directories are renamed, since roots are linked from there; a root that was published
    /// again before the renaming is removed. In a bucket, where a directory cannot be renamed, the
    /// parts go: `unretirable` has kept the attempts that may still be published. Call it when the
    /// removal of the manifests is durable, and before the segments go.
    ///
    /// - Parameter attempts: the attempts that the checkpoints were committed by.
    /// - Throws: the error of the system call.
    package func retire(_ attempts: [AttemptName]) throws(FileSystemError) {
        var retired: [AttemptName] = []
        for name in attempts {
            let (path, collected) = (directories.path(of: name), collectedPath(of: name))
            if !fileSystem.excludesOtherWriters {
                guard try !fileSystem.listIfThere(path).isEmpty else { continue }
                try remove(name)
            } else if try fileSystem.kind(of: path) == .directory {
                try fileSystem.replace(collected, with: path)  // X1
            } else if try fileSystem.kind(of: collected) != .directory {
                // A process that saved alone.
                continue
            }
            retired.append(name)
        }
        guard !retired.isEmpty else { return }
        try fileSystem.syncDirectory(directories.parts)
        let published = Set(try fileSystem.listIfThere(directories.manifests))
        let again = retired.filter { name in
            guard published.contains(name.checkpoint.description) else { return false }
            // One that cannot be read is not known to be this attempt's.
            return (try? files.loadFile(name.checkpoint))?.manifest.id == name.attempt
        }
        guard !again.isEmpty else { return }
        for name in again {
            try fileSystem.removeIfThere(directories.path(of: name.checkpoint))
        }
        try fileSystem.syncDirectory(directories.manifests)
    }

    /// Removes the directory of a checkpoint whose manifest has been removed.
    ///
    /// - Parameter name: the attempt that the checkpoint was committed by.
    /// - Throws: the error of the system call.
    package func remove(_ name: AttemptName) throws(FileSystemError) {
        for path in [directories.path(of: name), collectedPath(of: name)] {
            guard try fileSystem.kind(of: path) == .directory else { continue }
            for file in try fileSystem.list(path) {
                try fileSystem.removeIfThere(path.appending(file))
            }
            try fileSystem.removeDirectory(path)
        }
    }

    private func collectedPath(of name: AttemptName) -> FilePath {
        FilePath(directories.path(of: name).string + Self.collectedSuffix)
    }

    /// Names of manifests.
    private struct Published {
        var manifests: Set<String>
        var quarantined: [String]
    }

    private func published() throws(FileSystemError) -> Published {
        Published(
            manifests: Set(try fileSystem.listIfThere(directories.manifests)),
            quarantined: try fileSystem.listIfThere(directories.quarantine))
    }

    /// Returns true if the attempt has committed its checkpoint, or that cannot be known: a manifest
    /// of this name cannot be read, or is in quarantine.
    private func isCommitted(_ name: AttemptName, _ published: Published) -> Bool {
        let stem = name.checkpoint.description
        if published.quarantined.contains(where: { $0.hasPrefix(stem) }) { return true }
        guard published.manifests.contains(stem) else { return false }
        do throws(CheckpointError) {
            return try files.loadFile(name.checkpoint).manifest.id == name.attempt
        } catch { return error.code != .notFound }
    }
}

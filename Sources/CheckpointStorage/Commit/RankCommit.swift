internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import Foundation
internal import SystemPackage

/// The commit of one checkpoint by several ranks: steps N1 to N8 of Formats/durability.md, referred
/// to by their numbers. One object per rank and save.
///
/// It needs two things of the file system: a listing shows everything that existed before the
/// listing began, and `link()` never replaces a file. It takes no lock of the store, and looks for
/// no name before it is known to exist. Used by the pipeline's threads, and that of a failed save.
package struct RankCommit: Sendable {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories
    package let attempt: AttemptName
    package let ranks: RankGroup
    private let commit: CommitProtocol
    private let messages: RankMessages
    private let progress = Monitor(Progress())

    /// Progress of this object.
    private struct Progress {
        enum Beginning {
            case new, now
            case done(Result<Void, CheckpointError>)
        }

        var beginning = Beginning.new
        /// True once `finish` or `fail` was called: the other ranks know, or will.
        var isDecided = false
    }

    private let clock = ContinuousClock()
    /// Waits between two listings.
    private let pause: @Sendable (Duration) -> Void

    /// Creates the commit of a save; does nothing yet.
    ///
    /// - Parameters:
    ///   - commit: publishes the root.
    ///   - attempt: the save, the same on all ranks.
    ///   - ranks: the ranks, of which this is one.
    ///   - messages: passes messages between them.
    ///   - pause: waits for a time.
    package init(
        _ commit: CommitProtocol, attempt: AttemptName, ranks: RankGroup,
        _ messages: RankMessages,
        pause: @escaping @Sendable (Duration) -> Void = { duration in
            Thread.sleep(forTimeInterval: duration / .seconds(1))
        }
    ) {
        (fileSystem, directories) = (commit.fileSystem, commit.directories)
        (self.commit, self.attempt, self.ranks) = (commit, attempt, ranks)
        (self.messages, self.pause) = (messages, pause)
    }

    private var directory: FilePath { directories.path(of: attempt) }

    // MARK: Phase 1

    /// Makes the save known, before its first segment is created: step N1. From now on recovery
    /// leaves the save's files alone until its lease has ended.
    ///
    /// - Throws: codes `misuse` (another rank has another number of ranks), `noSpace`, `readOnly`,
    ///   `io`.
    package func begin() throws(CheckpointError) {
        try translating("beginning \(attempt)") {
            try fileSystem.makeDirectory(directories.parts)
            try fileSystem.syncDirectory(directories.root)
            try fileSystem.makeDirectory(directory)
        }
        // Before the file that would make the others fail: this rank may be the wrong one.
        _ = try state()
        try translating("beginning \(attempt)") {
            let name = PartName.begun(
                rank: ranks.rank, worldSize: ranks.worldSize, milliseconds: Clock.milliseconds)
            // A rank that was started again within the millisecond has left the same.
            do throws(FileSystemError) {
                try fileSystem.createDurably(directories.path(of: name, in: attempt), [])
            } catch {
                guard error.errno == .fileExists else { throw error }
            }
            try fileSystem.syncDirectory(directory)
            try fileSystem.syncDirectory(directories.parts)
        }
        _ = try state()
    }

    /// Makes the save known: the first call begins, and the others wait for it. Any thread.
    ///
    /// - Throws: as `begin`, at each call.
    package func beginOnce() throws(CheckpointError) {
        let done = progress.waitFor { progress -> Result<Void, CheckpointError>?? in
            switch progress.beginning {
            case .new:
                progress.beginning = .now
                return .some(nil)
            case .now: return nil
            case .done(let result): return result
            }
        }
        if let done { return try done.get() }
        // Outside the lock: this is I/O.
        let result = Result { () throws(CheckpointError) in try begin() }
        progress.withLock { $0.beginning = .done(result) }
        try result.get()
    }

    /// Makes this rank's part durable under its name: step N2.
    ///
    /// - Parameters:
    ///   - part: the part.
    ///   - sealed: its segments.
    /// - Throws: codes `exists` (another process has saved this rank's part), `noSpace`,
    ///   `readOnly`, `io`.
    package func publish(part: Manifest, of sealed: SealedSegments) throws(CheckpointError) {
        precondition(part.kind == .part && part.rank == ranks.rank)
        precondition(sealed.cover(part.segments), "a segment is not sealed")
        let bytes = part.encoded(digest: Hashing.digest)
        let name = PartName.part(rank: ranks.rank, worldSize: ranks.worldSize)
        guard try create(name, bytes) else {
            throw CheckpointError(
                .exists,
                "another process has saved the part of rank \(ranks.rank) of"
                    + " step \(part.step)",
                remedy: "Start one process for each rank",
                path: directories.path(of: name, in: attempt).string)
        }
    }

    /// Creates a file of the attempt's directory durably, under its name only when it is complete.
    ///
    /// - Returns: false if a file of this name has other bytes.
    private func create(_ name: PartName, _ bytes: [UInt8]) throws(CheckpointError) -> Bool {
        let (staged, final) = (stagedPath, directories.path(of: name, in: attempt))
        return try translating("saving \(final)") {
            try fileSystem.createDurably(staged, bytes)
            // If it cannot be removed, it goes with the directory.
            defer { try? fileSystem.remove(staged) }
            do { try fileSystem.link(staged, to: final) } catch {
                // If it cannot be read, the link's error is the cause.
                let found = try? fileSystem.contents(of: final, atMost: Limits.manifestBytesMax)
                guard let found else { throw error }
                guard found == bytes else { return false }
            }
            try fileSystem.syncDirectory(directory)
            return true
        }
    }

    private var stagedPath: FilePath { directory.appending("\(CheckpointID.random()).tmp") }

    // MARK: Phase 2

    /// The parts and failures in the attempt's directory.
    private struct State {
        var parts: Set<Int> = []
        /// Ranks whose failure is recorded.
        var failed: [Int] = []
    }

    /// Commits the save, or finds that another rank has: steps N3 to N8.
    ///
    /// Rank 0 publishes as soon as all parts are known. If it does not within a quarter of the
    /// time, at most ten seconds, another rank does, and the next one a little later. Before that,
    /// each of the two calls of a process group that fails takes as long.
    ///
    /// - Returns: the hash of the published root.
    /// - Throws: codes `timedOut` (names the ranks whose part is missing), `mismatch` (the parts
    ///   are not one checkpoint), `cancelled` (another rank could not save), `exists` (another save
    ///   of the step is committed), `damaged`, `io`.
    package func finish() throws(CheckpointError) -> Hash128 {
        progress.withLock { $0.isDecided = true }
        let deadline = clock.now + ranks.timeout
        if let answers = exchange(nil) {
            if let failure = answers.failure { throw failure }
            if ranks.rank == 0 { return try publishAndTell() }
            if let failure = exchange(nil)?.failure { throw failure }
        }
        let patience =
            ranks.patience ?? longestPatience
            + min(ranks.timeout / 50, .milliseconds(200)) * ranks.rank
        let turn = ranks.rank == 0 ? clock.now : clock.now + patience
        var wait = Duration.milliseconds(1)
        var round = 0
        while true {
            if let hash = try committed() { return hash }
            let now = clock.now
            // Of many ranks, only those that may publish list what all of them have saved.
            if now >= turn || now >= deadline || round % roundsPerLook == 0 {
                let state = try state()
                if let rank = state.failed.first { throw try failure(of: rank) }
                if state.parts.count == ranks.worldSize, now >= turn { return try publishRoot() }
                guard now < deadline else { throw timedOut(state) }
            }
            pause(wait)
            wait = min(wait * 2, longestWait)
            round += 1
        }
    }

    /// Longest time that a rank counts on another one to do its part, and looks for nothing.
    private var longestPatience: Duration { min(ranks.timeout / 4, .seconds(10)) }

    /// Tells all ranks by the process group whether this one has succeeded, and hears the same from
    /// them. Waits only for a while: the store shows more, and also if another rank has found the
    /// group broken.
    ///
    /// - Parameter failure: the failure of this rank; nil if it has succeeded.
    /// - Returns: nil if there is no group, or it has failed.
    private func exchange(_ failure: CheckpointError?) -> RankMessages.Answers? {
        let patience = ranks.patience ?? longestPatience
        return messages.exchange(attempt.attempt, failure, clock.now + patience)
    }

    /// Number of rounds in which a rank that waits for the root looks for failures once.
    private var roundsPerLook: Int { ranks.worldSize <= 64 ? 1 : 4 }

    /// Longest wait between two rounds. All ranks together list about a thousand times a second at
    /// most: they share a file system, which lists a directory for each of them.
    private var longestWait: Duration {
        let shared = ranks.rank == 0 ? .zero : Duration.milliseconds(ranks.worldSize)
        return min(max(shared, .milliseconds(250)), max(ranks.timeout / 20, .milliseconds(1)))
    }

    /// Publishes the root when every rank is known to be ready, and notifies the others.
    private func publishAndTell() throws(CheckpointError) -> Hash128 {
        do throws(CheckpointError) {
            let hash = try publishRoot()
            _ = exchange(nil)
            return hash
        } catch {
            record(error)
            _ = exchange(error)
            throw error
        }
    }

    /// Tells the other ranks that this one has no part, so that they do not wait for it. Does
    /// nothing after `finish`: what this rank has saved may be committed by others.
    ///
    /// - Parameter error: the failure.
    package func fail(_ error: CheckpointError) {
        let isDecided = progress.withLock { progress in
            defer { progress.isDecided = true }
            return progress.isDecided
        }
        guard !isDecided else { return }
        // Another process has saved this rank's part: its save may go on.
        if error.code != .exists {
            // If it cannot be recorded, the others wait until their deadline.
            try? beginOnce()
            record(error)
        }
        _ = exchange(error)
    }

    private func record(_ error: CheckpointError) {
        let text = Array("\(error)".utf8.prefix(RankMessages.textBytesMax))
        _ = try? create(.failed(rank: ranks.rank), text)  // otherwise the others wait until their deadline
    }

    private func failure(of rank: Int) throws(CheckpointError) -> CheckpointError {
        let path = directories.path(of: .failed(rank: rank), in: attempt)
        let text = try translating("reading \(path)") {
            try fileSystem.contents(of: path, atMost: RankMessages.textBytesMax) ?? []
        }
        return RankMessages.failure(of: rank, text)
    }

    private func timedOut(_ state: State) -> CheckpointError {
        let missing = (0..<ranks.worldSize).filter { !state.parts.contains($0) }
        return CheckpointError(
            .timedOut,
            missing.isEmpty
                ? "all \(ranks.worldSize) ranks saved step \(attempt.checkpoint.step), and none"
                    + " committed it within \(ranks.timeout)"
                : "\(missing.count) of \(ranks.worldSize) ranks did not save step"
                    + " \(attempt.checkpoint.step) within \(ranks.timeout):"
                    + " \(RankGroup.text(of: missing))",
            remedy: (missing.isEmpty
                ? "Check the logs of all ranks" : "Check why these processes did not save")
                + "; earlier checkpoints are intact")
    }

    /// Lists the attempt's directory: step N3.
    private func state() throws(CheckpointError) -> State {
        let names = try translating("listing \(directory)") { try fileSystem.list(directory) }
        var state = State()
        for name in names.compactMap({ PartName($0) }) {
            switch name {
            case .part(let rank, let worldSize), .begun(let rank, let worldSize, _):
                guard worldSize == ranks.worldSize else {
                    throw CheckpointError(
                        .misuse,
                        "rank \(rank) saves as one of \(worldSize) processes, and rank"
                            + " \(ranks.rank) as one of \(ranks.worldSize)",
                        remedy: "Give all processes the same number of processes")
                }
                if case .part = name { state.parts.insert(rank) }
            case .failed(let rank): if rank != ranks.rank { state.failed.append(rank) }
            case .index: break
            }
        }
        return state
    }

    /// Looks for the root by listing: step N7.
    ///
    /// - Returns: its hash; nil if the step is not committed.
    /// - Throws: code `exists` if another save of the step is committed.
    private func committed() throws(CheckpointError) -> Hash128? {
        let files = ManifestFiles(fileSystem: fileSystem, directories: directories)
        guard try files.names().contains(attempt.checkpoint) else { return nil }
        let committed = try files.identity(of: attempt.checkpoint)
        guard committed.id == attempt.attempt else {
            throw CheckpointError(
                .exists,
                "step \(attempt.checkpoint.step) is already committed, by another save",
                remedy: "A committed step is never overwritten; save another step",
                path: directories.path(of: attempt.checkpoint).string)
        }
        // Its publisher may have died before N6.
        try translating("syncing manifests") {
            try fileSystem.syncDirectory(directories.manifests)
        }
        return committed.hash
    }

    /// Publishes the root: steps N4 to N6 and N8.
    private func publishRoot() throws(CheckpointError) -> Hash128 {
        let files = PartFiles(fileSystem: fileSystem, directories: directories)
        let parts = try files.load(Array(0..<ranks.worldSize), of: attempt, ranks.worldSize)
        for part in parts
        where part.manifest.id != attempt.attempt || part.manifest.name != attempt.checkpoint {
            let name = PartName.part(rank: part.manifest.rank, worldSize: ranks.worldSize)
            let path = directories.path(of: name, in: attempt)
            throw CheckpointError(
                .damaged, "\(path) belongs to another save", path: path.string)
        }
        let (root, index) = try RootBuilder(parts).build()
        if let record = root.root, !index.isEmpty,
            try !create(.index(record.index.hash), index)  // N4
        {
            throw CheckpointError(.damaged, "the index of \(attempt) does not match its hash")
        }
        try translating("syncing \(directory)") { try fileSystem.syncDirectory(directory) }
        return try commit.publish(root, of: nil, stagedAs: stagedPath)  // N5, N6, N8
    }
}

internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage
internal import Foundation
internal import SystemPackage

/// Keeps a second store that is the same as a first one, file by file.
///
/// What is there already is not sent again, so an interrupted mirror goes on where it was. A
/// checkpoint appears in the second store when everything that it needs is there. What the first
/// store removes stays in the second. A store that is lost comes back by mirroring the second one
/// into an empty place: runs, restarts and ids are those of the lost store, so training resumes as
/// if nothing had happened.
public final class StoreMirror: Sendable {
    private let source: CheckpointStore
    private let target: any ObjectStore
    private let lock: MirrorLock
    private let limiter: Monitor<RateLimiter>?
    private let state = Monitor(State())

    private struct State {
        /// Manifests that are known to be the same in both stores, with their hashes.
        var same: [ManifestName: Hash128] = [:]
        /// Those that the mirror would remove at once.
        var unwanted: Set<ManifestName> = []
        /// The checkpoint that is being sent.
        var sending: ManifestName?
        /// Tags and pins as they were mirrored last; nil before.
        var marks: MirroredMarks?
    }

    /// Creates a mirror; copies nothing yet. A bucket is tried first, as for a store that is opened
    /// for writing.
    ///
    /// - Parameters:
    ///   - source: the store, open for anything.
    ///   - place: where its mirror lies: a mirror of the same store, or nothing.
    ///   - bytesPerSecond: maximum speed; nil for none.
    ///   - cancellation: asks for no request to be sent again; nil if nothing does.
    /// - Throws: codes `misuse` (another store is there), `unsupported` (a bucket that cannot hold
    ///   checkpoints), `io`, `readOnly`.
    public convenience init(
        of source: CheckpointStore, to place: Place, bytesPerSecond: Int? = nil,
        cancellation: Cancellation? = nil
    ) throws(CheckpointError) {
        switch place {
        case .directory(let path):
            try MirrorIdentity.requireApart(path, from: source)
            let objects = DirectoryObjectStore(FilePath(path))
            try self.init(
                of: source, to: objects, bytesPerSecond: bytesPerSecond,
                lock: .file(StoreDirectories(root: FilePath(path))))
            // Before `store.json`, whose presence implies a complete store.
            do { try objects.makeDirectories(["manifests", "segments", "staging"]) } catch {
                throw CheckpointError(error, in: path)
            }
        case .bucket(let location):
            try self.init(
                of: source,
                to: CheckpointStore.writableObjects(at: location, cancellation: cancellation),
                bytesPerSecond: bytesPerSecond, lock: nil)
        }
    }

    /// Creates a mirror of objects; copies nothing yet.
    ///
    /// - Parameters:
    ///   - source: the store, open for anything.
    ///   - target: the place of the mirror.
    ///   - bytesPerSecond: maximum speed; nil for none.
    /// - Throws: codes as above.
    package convenience init(
        of source: CheckpointStore, to target: any ObjectStore, bytesPerSecond: Int? = nil
    ) throws(CheckpointError) {
        try self.init(of: source, to: target, bytesPerSecond: bytesPerSecond, lock: nil)
    }

    private init(
        of source: CheckpointStore, to target: any ObjectStore, bytesPerSecond: Int?,
        lock: MirrorLock?
    ) throws(CheckpointError) {
        if let bytesPerSecond, bytesPerSecond < 1 {
            throw CheckpointError(
                .misuse, "bytesPerSecond must be at least 1 (got \(bytesPerSecond))")
        }
        (self.source, self.target) = (source, target)
        self.lock =
            lock
            ?? .objects(
                ObjectLocks(target, holder: LockHolder.current.encoded), place: target.description)
        limiter = bytesPerSecond.map { Monitor(RateLimiter(bytesPerSecond: $0)) }
        try failing { () throws(ObjectStoreError) in try target.settle("") }
        _ = try MirrorIdentity(source: source, target: target).check()
    }

    // MARK: Mirroring

    /// Brings the mirror up to date: newest checkpoints first, then tags and pins. Meanwhile no
    /// other process removes checkpoints of the mirror.
    ///
    /// - Parameters:
    ///   - cancellation: a request to stop after the object in hand.
    ///   - isOutdated: asked after each checkpoint that was sent; if true, the call returns a
    ///     report that is not complete.
    ///   - onMirrored: called with each checkpoint that was sent; on this thread.
    ///   - onProgress: called after each object with the bytes sent and the bytes of the
    ///     checkpoint in hand; on this thread.
    /// - Returns: what was done. A checkpoint that failed does not keep the others from being
    ///   mirrored.
    /// - Throws: codes `busy` (a process removes checkpoints of the mirror), `io` (a store cannot
    ///   be listed), `readOnly`, `cancelled`.
    public func synchronize(
        cancellation: Cancellation = Cancellation(), isOutdated: () -> Bool = { false },
        onMirrored: (MirrorReport.Row) -> Void = { _ in },
        onProgress: (_ sent: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(CheckpointError) -> MirrorReport {
        try synchronize(
            cancellation: cancellation, isOutdated: isOutdated, onMirrored: onMirrored,
            onProgress: onProgress
        ) { _ throws(CheckpointError) in [] }
    }

    /// Brings the mirror up to date, but for checkpoints that it would remove at once.
    ///
    /// - Parameter unwanted: returns those, of the store's checkpoints; gets what the mirror has.
    func synchronize(
        cancellation: Cancellation, isOutdated: () -> Bool,
        onMirrored: (MirrorReport.Row) -> Void, onProgress: (_ sent: Int, _ total: Int) -> Void,
        unwanted: (Set<ManifestName>) throws(CheckpointError) -> Set<ManifestName>
    ) throws(CheckpointError) -> MirrorReport {
        if let report = try upToDateReport() { return report }
        let sender = MirrorSender(
            source: source, target: target, limiter: limiter, cancellation: cancellation)
        let lock = try begin(sender)
        defer { withExtendedLifetime(lock) {} }
        var present = try Present(
            manifests: names(below: "manifests/"), segments: names(below: "segments/"),
            replacement: MirrorReplacement(target: target, directories: self.lock.directories))
        var report = MirrorReport()
        report.transferCheck = target.transferCheck
        let names = try source.files.names()
        let mirrored = Set(present.manifests.compactMap { ManifestName($0) })
        report.newestOnlyThere = mirrored.subtracting(names).max()
        let unwanted = try unwanted(mirrored)
        state.withLock { $0.unwanted = unwanted }
        for name in names.reversed() {
            guard !unwanted.contains(name) else {
                report.checkpoints.append(
                    .init(step: name.step, outcome: .unwanted, newBytes: 0))
                continue
            }
            try cancellation.check("the mirror", remedy: Self.remedy)
            let row = send(name, sender, &present, &report, onProgress)
            report.checkpoints.append(row)
            if let error = row.error {
                try cancellation.check("the mirror", remedy: Self.remedy)
                // What ends the connection ends the rest, too.
                let isOfOne = error.code == .damaged || error.code == .unsupported
                guard isOfOne || row.outcome == .gone else { throw error }
            }
            guard row.outcome == .mirrored else { continue }
            onMirrored(row)
            if isOutdated() {
                report.isComplete = false
                return report
            }
        }
        let marks = try MirroredMarks(of: source)
        report.markCount = try marks.send(to: target, by: sender)
        state.withLock { $0.marks = marks }
        return report
    }

    /// Takes the mirror's lock, and brings in order what a mirror that was killed has left.
    private func begin(_ sender: MirrorSender) throws(CheckpointError) -> any FileLock {
        // Somebody may have begun another mirror there since this object was created.
        if try !MirrorIdentity(source: source, target: target).check() {
            try sender.create(MirrorIdentity.key, from: source.directories.identity)
        }
        guard let lock = try lock.take() else {
            throw CheckpointError(
                .busy,
                "another process sends to \(target.description), or removes its checkpoints",
                remedy: "Wait until it has finished, and run the same command again")
        }
        try failing { () throws(ObjectStoreError) in
            try removeLeavings()
            // What it has written is not sent again.
            for kind in ["segments/", "parts/", "manifests/", "tags/", "pins/"] {
                try target.settle(kind)
            }
        }
        return lock
    }

    /// Removes what a mirror that was killed has begun to write. Nobody else writes while the lock
    /// is held.
    private func removeLeavings() throws(ObjectStoreError) {
        guard case .file = lock else { return }
        let names = try target.list("staging/", limit: nil).objects
        for name in names where name.hasSuffix(DirectoryObjectStore.stagedSuffix) {
            try target.remove("staging/\(name)")
        }
    }

    /// Returns true while a checkpoint is being sent.
    ///
    /// - Parameter name: the checkpoint.
    func isSending(_ name: ManifestName) -> Bool { state.withLock { $0.sending == name } }

    /// Returns true if a checkpoint was removed from the store while it was being sent.
    private func isGone(_ name: ManifestName) -> Bool {
        let path = source.directories.path(of: name)
        // If even that cannot be found out, the first error counts.
        let kind = try? source.fileSystem.kind(of: path)
        return kind == .some(nil)
    }

    private static let remedy = "Run the same command to continue: nothing is sent twice"

    /// Returns the report of a mirror that this object has brought up to date, without a request.
    ///
    /// - Returns: nil if something has changed since, or there was no such mirror yet.
    private func upToDateReport() throws(CheckpointError) -> MirrorReport? {
        let known = state.withLock { $0 }
        guard let marks = known.marks else { return nil }
        guard try MirroredMarks(of: source) == marks else { return nil }
        var report = MirrorReport()
        for name in try source.files.names().reversed() {
            if known.unwanted.contains(name) {
                report.checkpoints.append(
                    .init(step: name.step, outcome: .unwanted, newBytes: 0))
                continue
            }
            do throws(CheckpointError) {
                guard let hash = known.same[name],
                    try source.files.identity(of: name).hash == hash
                else { return nil }
            } catch { return nil }  // Mirroring it finds out what is wrong.
            report.checkpoints.append(.init(step: name.step, outcome: .present, newBytes: 0))
        }
        return report
    }

    /// The names that the mirror has.
    private struct Present {
        var manifests: Set<String>
        var segments: Set<String>
        var replacement: MirrorReplacement
    }

    /// Sends one checkpoint, and tells what came of it.
    private func send(
        _ name: ManifestName, _ sender: MirrorSender, _ present: inout Present,
        _ report: inout MirrorReport, _ onProgress: (Int, Int) -> Void
    ) -> MirrorReport.Row {
        var row = MirrorReport.Row(step: name.step, outcome: .present, newBytes: 0)
        state.withLock { $0.sending = name }
        defer { state.withLock { $0.sending = nil } }
        do throws(CheckpointError) {
            row.outcome = try mirror(name, sender, &present, &row.newBytes, &report, onProgress)
        } catch {
            row.outcome = isGone(name) ? .gone : .failed
            row.error = error
        }
        return row
    }

    private func mirror(
        _ name: ManifestName, _ sender: MirrorSender, _ present: inout Present, _ sent: inout Int,
        _ report: inout MirrorReport, _ onProgress: (Int, Int) -> Void
    ) throws(CheckpointError) -> MirrorReport.Row.Outcome {
        let manifest: Manifest
        let file: any ReadableFile
        let loaded: ManifestFiles.Loaded
        do {
            // Open while it is mirrored, so that nothing that it names is written over.
            file = try translating("reading") { () throws(FileSystemError) in
                try source.fileSystem.open(source.directories.path(of: name))
            }
            if let known = state.withLock({ $0.same[name] }),
                try source.files.identity(of: name).hash == known
            {
                return .present
            }
            loaded = try source.files.loadFile(name)
            manifest = try source.files.load(name).manifest
        } catch {
            guard error.code == .notFound else { throw error }
            return .gone
        }
        defer { withExtendedLifetime(file) {} }
        let key = "manifests/\(name)"
        if present.manifests.contains(name.description), try isSame(key, loaded) {
            state.withLock { $0.same[name] = loaded.hash }
            return .present
        }
        let missing = manifest.segments.filter { !present.segments.contains($0.name.description) }
        let total = missing.reduce(0) { $0 + $1.fileBytes } + loaded.fileBytes
        for segment in missing {
            let key = "segments/\(segment.name)"
            do throws(CheckpointError) {
                try sender.verify(segment)
                try sender.upload(key, from: source.directories.path(of: segment.name))
            } catch {
                if isGone(name) {
                    try takeBack(missing.prefix { $0.name != segment.name }, &present)
                }
                throw error
            }
            present.segments.insert(segment.name.description)
            sent += segment.fileBytes
            report.objectCount += 1
            onProgress(sent, total)
        }
        if loaded.manifest.root != nil {
            try mirrorParts(of: loaded.manifest, sender, &report)
        }
        try lock.check()
        if present.manifests.contains(name.description) {
            // Repacked since: another file of the same checkpoint.
            try present.replacement.prepare(for: name)
            try sender.upload(key, from: source.directories.path(of: name))
        } else {
            try sender.create(key, from: source.directories.path(of: name))
        }
        sent += loaded.fileBytes
        report.objectCount += 1
        onProgress(sent, total)
        state.withLock { $0.same[name] = loaded.hash }
        return .mirrored
    }

    /// Removes from the mirror what was sent of a checkpoint that no longer exists.
    private func takeBack(
        _ segments: some Sequence<SegmentReference>, _ present: inout Present
    ) throws(CheckpointError) {
        for segment in segments {
            try failing { () throws(ObjectStoreError) in
                try target.remove("segments/\(segment.name)")
            }
            present.segments.remove(segment.name.description)
        }
    }

    /// Returns true if the mirror's manifest is the one that is here.
    private func isSame(
        _ key: String, _ loaded: ManifestFiles.Loaded
    ) throws(CheckpointError) -> Bool {
        try failing { () throws(ObjectStoreError) in
            guard try target.size(of: key) == loaded.fileBytes, loaded.fileBytes >= 16 else {
                return false
            }
            let end = try target.bytes(of: key, at: loaded.fileBytes - 16, count: 16)
            return Manifest.hash(ofEncoded: end) == loaded.hash
        }
    }

    /// Sends what the ranks of a checkpoint have added to it.
    private func mirrorParts(
        of root: Manifest, _ sender: MirrorSender, _ report: inout MirrorReport
    ) throws(CheckpointError) {
        let attempt = AttemptName(checkpoint: root.name, attempt: root.id)
        let directory = source.directories.path(of: attempt)
        try failing { () throws(ObjectStoreError) in try target.settle("parts/\(attempt)/") }
        let present = try names(below: "parts/\(attempt)/")
        let files = try translating("listing \(directory)") { () throws(FileSystemError) in
            try source.fileSystem.list(directory)
        }
        for file in files
        where (file.hasSuffix(".part") || file.hasSuffix(".index")) && !present.contains(file) {
            try sender.create("parts/\(attempt)/\(file)", from: directory.appending(file))
            report.objectCount += 1
        }
    }

    // MARK: Objects

    private func names(below prefix: String) throws(CheckpointError) -> Set<String> {
        try failing { () throws(ObjectStoreError) in
            Set(try target.list(prefix, limit: nil).objects)
        }
    }

    private func failing<R>(
        _ body: () throws(ObjectStoreError) -> R
    ) throws(CheckpointError) -> R {
        do { return try body() } catch { throw CheckpointError(error, in: target.description) }
    }
}

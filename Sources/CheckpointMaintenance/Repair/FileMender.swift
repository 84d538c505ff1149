internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// Replaces damaged files of a store by those of a copy that has the same bytes, such as its mirror:
/// step Q0a of Formats/durability.md.
struct FileMender {
    private let store: CheckpointStore
    private let copy: CheckpointStore
    private let isDryRun: Bool
    private let cancellation: Cancellation
    private var hasBegun = false
    /// Names of the files that were replaced, or would be.
    private(set) var names: [String] = []
    /// Size of these files in bytes.
    private(set) var bytes = 0

    /// Bytes that are copied at once.
    private static let pieceBytes = 8 << 20

    /// Replaces nothing yet.
    ///
    /// - Parameters:
    ///   - store: the damaged store; open for maintaining unless it is a dry run.
    ///   - copy: a copy with the same id.
    ///   - isDryRun: finds out which files could be replaced, and changes nothing.
    ///   - cancellation: a request to stop.
    /// - Throws: code `misuse` if `copy` is another store.
    init(
        _ store: CheckpointStore, from copy: CheckpointStore, isDryRun: Bool,
        cancellation: Cancellation
    ) throws(CheckpointError) {
        guard store.id == copy.id else {
            throw CheckpointError(
                .misuse, "\(copy.directories.root) is another store, not a mirror of this one",
                remedy: "Give a directory or bucket that ckpt mirror has written from this store",
                path: copy.directories.root.string)
        }
        (self.store, self.copy) = (store, copy)
        (self.isDryRun, self.cancellation) = (isDryRun, cancellation)
    }

    /// Replaces a manifest that cannot be read, or the parts that it names.
    ///
    /// - Parameter name: the checkpoint.
    /// - Returns: the manifest; nil if the copy does not have it intact, and nothing was replaced.
    /// - Throws: codes `io`, `noSpace`, `readOnly`, `cancelled`.
    mutating func mend(_ name: ManifestName) throws(CheckpointError) -> ManifestFiles.Loaded? {
        let intact: ManifestFiles.Loaded
        let file: ManifestFiles.Loaded
        do throws(CheckpointError) {
            (file, intact) = (try copy.files.loadFile(name), try copy.files.load(name))
        } catch {
            guard Self.isDamage(error) else { throw error }
            return nil
        }
        if file.manifest.root != nil {
            let attempt = AttemptName(checkpoint: name, attempt: file.manifest.id)
            try mendParts(store.directories.path(of: attempt), copy.directories.path(of: attempt))
        }
        // Of several ranks, only a part may be damaged.
        let own: Hash128?
        do throws(CheckpointError) { own = try store.files.loadFile(name).hash } catch { own = nil }
        if own != file.hash {
            try replace(store.directories.path(of: name), from: copy.directories.path(of: name))
        }
        return intact
    }

    private mutating func mendParts(
        _ directory: FilePath, _ source: FilePath
    ) throws(CheckpointError) {
        let names = try translating("listing \(source)") { () throws(FileSystemError) in
            try copy.fileSystem.list(source)
        }
        for name in names where name.hasSuffix(".part") || name.hasSuffix(".index") {
            let same = try translating("comparing \(name)") { () throws(FileSystemError) in
                let (own, other) = (directory.appending(name), source.appending(name))
                guard try store.fileSystem.kind(of: own) != nil else { return false }
                let limit = Limits.manifestBytesMax
                return try store.fileSystem.contents(of: own, atMost: limit)
                    == copy.fileSystem.contents(of: other, atMost: limit)
            }
            if !same { try replace(directory.appending(name), from: source.appending(name)) }
        }
        // Those that are the same may be of a repair that was killed before it synced them.
        do { try store.fileSystem.syncDirectoryIfThere(directory) } catch {
            throw CheckpointError(error)
        }
    }

    /// Replaces a segment that is damaged or missing.
    ///
    /// - Parameters:
    ///   - name: the segment.
    ///   - use: what the manifests say of it.
    /// - Returns: false if the copy does not have it intact, and nothing was replaced.
    /// - Throws: codes `io`, `noSpace`, `readOnly`, `cancelled`.
    mutating func mend(_ name: SegmentName, _ use: SegmentUse) throws(CheckpointError) -> Bool {
        var check = SegmentCheck(store: copy, name: name, use: use)
        check.structure()
        check.contents(where: { _ in true }) { _ in }
        let other = check.faults.first { !Self.isDamage($0.error) }
        if let other { throw other.error }
        guard check.faults.isEmpty else { return false }
        try replace(store.directories.path(of: name), from: copy.directories.path(of: name))
        return true
    }

    /// Returns true if the copy does not have a file intact. What cannot be read just now, such as
    /// over a network, may be intact: then nothing must be given up.
    private static func isDamage(_ error: CheckpointError) -> Bool {
        error.code.meansDamage
    }

    // MARK: Files

    private mutating func replace(
        _ path: FilePath, from source: FilePath
    ) throws(CheckpointError) {
        let file = try translating("reading \(source)") { () throws(FileSystemError) in
            try copy.fileSystem.open(source)
        }
        let name = path.lastComponent?.string ?? path.string
        names.append(name)
        bytes += file.size
        guard !isDryRun else { return }
        let quarantine = Quarantine(fileSystem: store.fileSystem, directories: store.directories)
        if !hasBegun, let maintenance = store.maintenance {
            try translating("maintenance") { try maintenance.changeGeneration() }
            try quarantine.prepare()
            hasBegun = true
        }
        let staged = store.directories.staging.appending("\(CheckpointID.random()).mend")
        do throws(CheckpointError) {
            try write(file, to: staged)
            let kind = try translating("looking for \(path)") { () throws(FileSystemError) in
                try store.fileSystem.kind(of: path)
            }
            if kind != nil {
                _ = try quarantine.keep(path, as: name)
                try quarantine.sync()
            }
            try translating("replacing \(path)") {
                try store.fileSystem.replace(path, with: staged)
                try store.fileSystem.syncDirectory(path.removingLastComponent())
            }
        } catch {
            // What stays is removed by the next writer.
            try? store.fileSystem.removeIfThere(staged)
            throw error
        }
    }

    private func write(_ file: any ReadableFile, to path: FilePath) throws(CheckpointError) {
        let output = try translating("creating \(path)") { () throws(FileSystemError) in
            try store.fileSystem.create(path)
        }
        defer { output.close() }
        for offset in stride(from: 0, to: file.size, by: Self.pieceBytes) {
            try cancellation.check("the repair", remedy: "Run the command again to continue")
            try translating("writing \(path)") {
                let count = min(Self.pieceBytes, file.size - offset)
                try output.write(file.read(count: count, at: offset), at: offset)
            }
        }
        try translating("syncing \(path)") { try output.sync() }
    }
}

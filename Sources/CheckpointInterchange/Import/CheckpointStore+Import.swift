internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage
internal import Checkpointing
internal import Logging
internal import SystemPackage

extension CheckpointStore {
    /// Imports files of other programs as a checkpoint.
    ///
    /// The tensors of all files make one checkpoint, in a new run. Memory use is independent of
    /// tensor size.
    ///
    /// - Parameters:
    ///   - files: the opened files.
    ///   - options: step, run, metrics and compression; the format is that of `files`.
    /// - Returns: the checkpoint, and its sizes.
    /// - Throws: codes `misuse` (the store is not open for writing), `busy`, `noSpace`, `damaged`
    ///   (a file), `io`, `cancelled`.
    @discardableResult
    public func importCheckpoint(
        from files: ForeignFiles, options: ImportOptions = ImportOptions()
    ) throws(CheckpointError) -> ImportReport {
        let progress = ImportProgress(files, options.onProgress)
        let source = try files.source(options.cancellation, onRead: progress.add)
        let known = try ImportHistory(of: self)
        let roles = options.roles
        var options = options
        options.run = options.run ?? files.name
        options.step = options.step ?? files.step ?? 0
        options.onProgress = { done, _ in progress.wrote(done) }
        let state = ForeignState(files.checkpoint(from: source)) { name in
            roles.first { $0.pattern.matches(name) }?.role
        }
        let report = try exchanging("importing") {
            do {
                return try save(state, options, storedBytes: known.bytes(of: source))
            } catch let error as CheckpointError where error.code == .cancelled {
                throw CheckpointError(
                    .cancelled, "the import was interrupted: no checkpoint was created")
            }
        }
        return ImportReport(
            checkpoint: try checkpoint(.id(prefix: report.id.description)),
            tensorBytes: files.tensorBytes, newBytes: report.newBytes, format: files.format,
            source: source, earlier: known.same(as: source), leftOut: files.leftOut,
            notes: files.notes)
    }

    /// Opens files of other programs, and imports them as a checkpoint.
    ///
    /// - Parameters:
    ///   - files: paths of files and directories.
    ///   - options: step, run, metrics, compression and format.
    /// - Returns: the checkpoint, and its sizes.
    /// - Throws: what `ForeignFiles.init` throws, and the other `importCheckpoint`.
    @discardableResult
    public func importCheckpoint(
        from files: [String], options: ImportOptions = ImportOptions()
    ) throws(CheckpointError) -> ImportReport {
        let files = try ForeignFiles(
            files, options: options,
            spillDirectory: Self.spillDirectory(of: directories.root.string))
        return try importCheckpoint(from: files, options: options)
    }

    /// Returns the directory in which an import into a store unpacks compressed entries, in a file
    /// without a name.
    ///
    /// It is the store's `staging/`, which needs room for the import anyway; or, before the store
    /// is made, the directory in which it will be.
    ///
    /// - Parameter store: path of the store, which need not exist.
    /// - Returns: an existing directory, if the store's parent exists.
    package static func spillDirectory(of store: String) -> String {
        let (files, store) = (POSIXFileSystem(usesDirectIO: false), FilePath(store))
        let parent = store.removingLastComponent()
        for directory in [StoreDirectories(root: store).staging, store] {
            // A directory that cannot be examined gives an error when it is used.
            if (try? files.kind(of: directory)) == .directory { return directory.string }
        }
        return parent.isEmpty ? "." : parent.string
    }

    private func save(
        _ state: ForeignState, _ options: ImportOptions, storedBytes: Int
    ) throws -> SaveReport {
        var saving = CheckpointerOptions()
        saving.run = options.run
        saving.kind = .imported
        saving.storedBytes = storedBytes
        saving.compression = options.compression
        saving.workerNiceness = 0
        saving.arenaBytes = 64 << 20
        saving.logger.logLevel = .critical
        let onProgress = options.onProgress
        saving.onEvent = { event in
            if case .progress(_, let written, let total) = event { onProgress?(written, total) }
        }
        let checkpointer = try Checkpointer(store: self, state: state, options: saving)
        // A failed save must not leave the files of one in flight. Its own error is reported.
        defer { try? checkpointer.close() }
        let ticket = try checkpointer.save(step: options.step ?? 0, metrics: options.metrics)
        try options.cancellation.withHandler({ ticket.cancel() }) { try ticket.wait() }
        guard let report = ticket.report else {
            preconditionFailure("a committed save has no report")
        }
        return report
    }
}

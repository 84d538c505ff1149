internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
public import CheckpointStorage
internal import SystemPackage

extension CheckpointStore {
    /// Removes what a killed or interrupted writer left behind: files of unfinished saves, and
    /// segments that no checkpoint names.
    ///
    /// Every writer does the same when it opens the store. Needs no free space.
    ///
    /// - Parameters:
    ///   - path: the store's directory.
    ///   - onWarning: called with problems that do not prevent the removal.
    /// - Returns: what was removed.
    /// - Throws: codes `notFound`, `notAStore`, `busy` (a process writes to the store, or removes
    ///   checkpoints), `damaged`, `readOnly`, `io`.
    public static func clean(
        _ path: String, onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CheckpointError) -> Leavings {
        // Opening for writing would make a store of an empty directory.
        _ = try open(path)
        return try open(path, for: .writing, onWarning: onWarning).recovered
    }

    /// Removes from a bucket the segments that no checkpoint names: what interrupted saves have
    /// uploaded. Trainers may save there meanwhile, each save in less than `age`.
    ///
    /// - Parameter age: a segment that was uploaded more recently may belong to a save that is not
    ///   committed yet, and stays.
    /// - Returns: what was removed; nothing if a manifest cannot be read, which may name any
    ///   segment.
    /// - Throws: codes `misuse` (the store is not open for maintaining, or is in a directory: see
    ///   the function that takes a path), `readOnly`, `io`.
    public func clean(
        olderThan age: Duration = .seconds(24 * 3600)
    ) throws(CheckpointError) -> Leavings {
        guard maintenance != nil, !fileSystem.excludesOtherWriters else {
            throw CheckpointError(
                .misuse, "the store is not a bucket's, or not open for maintaining",
                remedy: "Open it with access .maintaining; for a directory, use clean(_:)")
        }
        // Before the manifests: what is committed after it was listed is found below.
        let old = try translating("listing segments") {
            try fileSystem.list(directories.segments, olderThan: age)
        }
        let unnamed = old.compactMap(SegmentName.init)
        var (leavings, read, named) = (Leavings(), Set<ManifestName>(), Set<SegmentName>())
        // Twice, for checkpoints that were committed while the others were read.
        for _ in 0..<2 {
            for name in try files.names() where read.insert(name).inserted {
                do throws(CheckpointError) {
                    named.formUnion(try files.load(name).manifest.segments.map(\.name))
                } catch { if error.code != .notFound { leavings.isComplete = false } }
            }
        }
        guard leavings.isComplete else { return leavings }
        for segment in unnamed where !named.contains(segment) {
            let path = directories.path(of: segment)
            let bytes = size(of: path)
            try translating("removing \(path)") { try fileSystem.removeIfThere(path) }
            leavings.count += 1
            leavings.bytes += bytes
        }
        return leavings
    }

    /// Finds the files that belong to no checkpoint, without removing any: those of a save in
    /// flight, and those that `clean` would remove.
    ///
    /// Reads every manifest.
    ///
    /// - Returns: their number and size. Incomplete if a manifest cannot be read: segments of
    ///   unknown use are not counted.
    /// - Throws: codes `io`, `readOnly`.
    public func leavings() throws(CheckpointError) -> Leavings {
        var named: Set<SegmentName> = []
        var isComplete = true
        for name in try files.names() {
            do throws(CheckpointError) {
                named.formUnion(try files.load(name).manifest.segments.map(\.name))
            } catch { if error.code != .notFound { isComplete = false } }
        }
        var leavings = try leavings { !isComplete || named.contains($0) }
        leavings.isComplete = isComplete
        return leavings
    }

    /// Counts the files in `staging/`, and the segments that no manifest names.
    func leavings(isNamed: (SegmentName) -> Bool) throws(CheckpointError) -> Leavings {
        var leavings = Leavings()
        try translating("listing") {
            // A copy may leave out empty directories.
            let staged = try fileSystem.listIfThere(directories.staging)
            // The status file of a writer that runs is in use.
            for name in staged where !name.hasSuffix(".status") {
                leavings.count += 1
                leavings.bytes += size(of: directories.staging.appending(name))
            }
            for text in try fileSystem.listIfThere(directories.segments) {
                guard let segment = SegmentName(text), !isNamed(segment) else { continue }
                leavings.count += 1
                leavings.bytes += size(of: directories.path(of: segment))
            }
        }
        return leavings
    }

    /// Returns the size of a file that may be removed at any moment; 0 then.
    func size(of path: FilePath) -> Int { (try? fileSystem.open(path).size) ?? 0 }
}

public import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments

extension CheckpointStore {
    package func marks() throws(CheckpointError) -> Marks { try MarkFiles(files).read() }

    /// Lists the tags of the store.
    ///
    /// - Returns: the tags, sorted by name.
    /// - Throws: codes `damaged` (a tag cannot be read), `io`.
    public func tags() throws(CheckpointError) -> [CheckpointTag] {
        let marks = try marks()
        if let error = marks.unreadable.first { throw error }
        let names = Set(try files.names())
        return marks.tags.sorted { $0.key < $1.key }.map { tag, mark in
            CheckpointTag(tag: tag, id: mark.id, run: mark.name.run, step: mark.name.step, isDangling: !names.contains(mark.name))
        }
    }

    /// Sets a tag on a checkpoint. Retention never removes a checkpoint with a tag.
    ///
    /// The store must be open for writing or maintaining. The call holds the maintenance lock while
    /// it runs.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint.
    ///   - tag: the tag.
    ///   - force: moves the tag if another checkpoint has it; also replaces a tag that cannot be
    ///     read.
    /// - Returns: the tag, and false if the checkpoint had it already.
    /// - Throws: codes `notFound`, `damaged`, `exists` (another checkpoint has the tag), `busy`
    ///   (another process removes or repacks checkpoints), `misuse` (open for reading only), `io`.
    @discardableResult
    public func tag(
        _ reference: CheckpointReference, _ tag: TagName, force: Bool = false
    ) throws(CheckpointError) -> (tag: CheckpointTag, isChanged: Bool) {
        try maintaining { () throws(CheckpointError) in
            let marks = MarkFiles(files)
            let mark = try mark(reference)
            let result = CheckpointTag(tag: tag, id: mark.id, run: mark.name.run, step: mark.name.step, isDangling: false)
            // With force, a tag that cannot be read is replaced too.
            let old = force ? try? marks.mark(tag) : try marks.mark(tag)
            if old == mark {
                try marks.sync()
                return (result, false)
            }
            if let old, !force {
                throw CheckpointError(
                    .exists, "the tag \(tag) already names step \(old.name.step) (\(old.id))",
                    remedy: "Move the tag with --force, or choose another name")
            }
            try marks.set(tag, mark)
            return (result, true)
        }
    }

    /// Deletes a tag; the checkpoint stays.
    ///
    /// The store must be open for writing or maintaining. The call holds the maintenance lock while
    /// it runs.
    ///
    /// - Parameter tag: the tag.
    /// - Throws: codes `notFound` (no such tag), `busy` (another process removes or repacks
    ///   checkpoints), `misuse` (open for reading only), `io`.
    public func removeTag(_ tag: TagName) throws(CheckpointError) {
        try maintaining { () throws(CheckpointError) in
            let marks = MarkFiles(files)
            guard try marks.read().tags[tag] != nil || isUnreadable(tag) else {
                try marks.sync()
                throw try missing(.tag(tag), [])
            }
            try marks.remove(tag)
        }
    }

    private func isUnreadable(_ tag: TagName) -> Bool {
        do { return try MarkFiles(files).mark(tag) != nil } catch { return error.code == .damaged }
    }

    /// Protects a checkpoint from removal by retention, until `unpin`.
    ///
    /// The store must be open for writing or maintaining. The call holds the maintenance lock while
    /// it runs.
    ///
    /// - Parameter reference: the checkpoint.
    /// - Returns: the checkpoint, and false if it was pinned already.
    /// - Throws: codes `notFound`, `damaged`, `busy` (another process removes or repacks
    ///   checkpoints), `misuse` (open for reading only), `io`.
    @discardableResult
    public func pin(_ reference: CheckpointReference) throws(CheckpointError) -> (summary: CheckpointSummary, isChanged: Bool) {
        try setPin(reference, true)
    }

    /// Removes the protection that `pin` set.
    ///
    /// The store must be open for writing or maintaining. The call holds the maintenance lock while
    /// it runs.
    ///
    /// - Parameter reference: the checkpoint.
    /// - Returns: the checkpoint, and false if it was not pinned.
    /// - Throws: codes `notFound`, `damaged`, `busy` (another process removes or repacks
    ///   checkpoints), `misuse` (open for reading only), `io`.
    @discardableResult
    public func unpin(_ reference: CheckpointReference) throws(CheckpointError) -> (summary: CheckpointSummary, isChanged: Bool) {
        try setPin(reference, false)
    }

    private func setPin(
        _ reference: CheckpointReference, _ isWanted: Bool
    ) throws(CheckpointError) -> (summary: CheckpointSummary, isChanged: Bool) {
        try maintaining { () throws(CheckpointError) in
            let manifest = try load(reference).manifest
            let (name, marks) = (manifest.name, MarkFiles(files))
            let isPinned = try marks.read().pins.contains(name)
            if isWanted && !isPinned { try marks.pin(Mark(name: name, id: manifest.id)) }
            if isPinned && !isWanted { try marks.unpin(name) }
            if isPinned == isWanted { try marks.sync() }
            return (CheckpointSummary(manifest, try marks.read(), defaultRunName: defaultRunName), isPinned != isWanted)
        }
    }

    private func mark(_ reference: CheckpointReference) throws(CheckpointError) -> Mark {
        let manifest = try load(reference).manifest
        return Mark(name: manifest.name, id: manifest.id)
    }

    /// Runs `body` under the maintenance lock, so that no process removes the checkpoint that
    /// `body` marks.
    private func maintaining<R>(_ body: () throws(CheckpointError) -> R) throws(CheckpointError) -> R {
        guard access != .reading else {
            throw CheckpointError(.misuse, "the store is open for reading only", remedy: "Open it with access .maintaining")
        }
        let own = maintenance == nil ? try takeMaintenance() : nil
        defer { withExtendedLifetime(own) {} }
        return try body()
    }

    private func takeMaintenance() throws(CheckpointError) -> MaintenanceLock {
        if let own = try translating("maintenance", { try MaintenanceLock(fileSystem, directories) }) { return own }
        throw CheckpointError(
            .busy, "another process is removing or repacking checkpoints of \(directories.root)",
            remedy: "Wait until it has finished")
    }
}

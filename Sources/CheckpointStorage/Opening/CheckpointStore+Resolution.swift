internal import CheckpointCatalog
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments

extension CheckpointStore {
    /// Returns the manifests that a reference may mean, best first. Only the latest of the store or
    /// of a run can have more than one.
    ///
    /// - Parameter reference: the reference.
    /// - Returns: manifest names; empty if there is no match.
    /// - Throws: codes `notFound` (an ambiguous id prefix, or a tag whose checkpoint no longer
    ///   exists), `damaged`, `io`.
    package func candidates(_ reference: CheckpointReference) throws(CheckpointError)
        -> [ManifestName]
    {
        switch reference {
        case .latest: return try newestFirst()
        case .latestOfRun(let run): return try candidates(run: run)
        case .step(let step): return Array(try newestFirst().filter { $0.step == step }.prefix(1))
        case .stepOfRun(let run, let step): return try candidates(run: run, step: step)
        case .id(let prefix): return try candidates(prefix: prefix)
        case .tag(let tag): return try candidates(tag: tag)
        case .best(let metric, let isLargest):
            return try best(Best(metric: metric, isLargest: isLargest), try newestFirst())
        }
    }

    /// Returns the checkpoints that a reference may mean; empty if there are none.
    func candidatesIfAny(
        _ reference: CheckpointReference
    ) throws(CheckpointError) -> [ManifestName] {
        do { return try candidates(reference) } catch {
            guard error.code == .notFound else { throw error }
            return []
        }
    }

    private func newestFirst() throws(CheckpointError) -> [ManifestName] {
        try files.names().reversed()
    }

    private func candidates(run: String) throws(CheckpointError) -> [ManifestName] {
        let names = try newestFirst()
        let meant = members(names, run)
        // The newest run, if several have the name; those trained here before copies. Nothing else
        // is walked back to.
        let own = meant.first { $0.origin.kind == .training && $0.origin.store == id }
        guard let newest = (own ?? meant.first)?.origin else { return [] }
        return meant.filter { $0.origin.run == newest.run }.map(\.name)
    }

    private func candidates(run: String, step: Int) throws(CheckpointError) -> [ManifestName] {
        let names = try newestFirst().filter { $0.step == step }
        // A manifest that cannot be read is found by its restart id alone.
        if run.utf8.count >= 4, let name = names.first(where: { $0.run.description.hasPrefix(run) })
        {
            return [name]
        }
        return members(names, run).prefix(1).map(\.name)
    }

    /// Returns the readable ones of some checkpoints whose run is selected.
    private func members(_ names: [ManifestName], _ run: String) -> [RunMember] {
        let (selector, defaultName) = (RunSelector(run), defaultRunName)
        return catalog.members(names).compactMap { result in
            guard let member = try? result.get() else { return nil }  // Without a manifest, no run name.
            let name = member.runName.isEmpty ? defaultName : member.runName
            return selector.matches(name: name, restart: member.name.run, origin: member.origin)
                ? member : nil
        }
    }

    private func candidates(prefix: String) throws(CheckpointError) -> [ManifestName] {
        let names = try newestFirst()
        let matches = catalog.names(idPrefix: prefix, among: names)
        // Digits alone may be a step as well, such as a number of tokens.
        let step = Int(prefix).flatMap { step in names.first { $0.step == step } }
        if let step, matches.isEmpty || matches == [step] { return [step] }
        guard step == nil else {
            throw CheckpointError(
                .notFound, "\(prefix) is a step, and the beginning of the id of another checkpoint",
                remedy: "Write step-\(prefix) for the step, or more digits of the id")
        }
        guard matches.count <= 1 else {
            throw CheckpointError(
                .notFound, "id prefix \(prefix) matches \(matches.count) checkpoints",
                remedy: "Give more digits")
        }
        return matches
    }

    private func candidates(tag: TagName) throws(CheckpointError) -> [ManifestName] {
        guard let mark = try MarkFiles(files).mark(tag) else { return [] }
        do throws(CheckpointError) {
            if try files.load(mark.name).manifest.id == mark.id { return [mark.name] }
        } catch {
            // Damage is reported when the caller reads the checkpoint.
            guard error.code == .notFound else { return [mark.name] }
        }
        throw CheckpointError(
            .notFound,
            "the tag \(tag) names step \(mark.name.step) of run \(mark.name.run) (\(mark.id)), which was deleted",
            remedy: "Remove the tag with ckpt tag --delete, or move it with --force")
    }

    /// The catalog is an index that a flipped bit can change, so its choice is accepted only if the
    /// manifest has the same value. Otherwise all manifests are read.
    private func best(_ rule: Best, _ names: [ManifestName]) throws(CheckpointError)
        -> [ManifestName]
    {
        guard let best = rule.choose(catalog.values(of: rule.metric, among: names)) else {
            return []
        }
        let manifest = try files.load(best.name).manifest
        if manifest.metrics.first(where: { $0.name == rule.metric })?.value == best.value {
            return [best.name]
        }
        // A manifest that cannot be read has no metrics.
        let read = names.compactMap { try? files.load($0) }.map(CatalogIndex.entry)
        return rule.choose(
            read.compactMap { entry in entry.metrics[rule.metric].map { (entry.name, $0) } }
        ).map { [$0.name] } ?? []
    }

    /// Calls `body` with the checkpoint that `reference` means, and returns its result.
    ///
    /// For the latest of the store or of a run this walks back, newest first, to the first
    /// checkpoint for which `body` succeeds.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint.
    ///   - selection: what is needed of a checkpoint of several ranks; nil means everything.
    ///   - onSkip: called with the damage of each checkpoint that is skipped, newest first.
    ///   - body: called again, once, if a repack replaced the manifest while it ran.
    /// - Returns: the result, and the damage of the newer checkpoints that were skipped.
    /// - Throws: codes `notFound`, `damaged` (no checkpoint is intact), and the error of `body`.
    package func withManifest<R>(
        _ reference: CheckpointReference, _ selection: PartFiles.Selection? = nil,
        onSkip: (CheckpointError) -> Void = { _ in },
        _ body: (Manifest) throws(CheckpointError) -> R
    ) throws(CheckpointError) -> (result: R, skipped: [CheckpointError]) {
        let (result, skipped) = try walkBack(reference.walksBack, selection, onSkip: onSkip, body) {
            () throws(CheckpointError) in try candidates(reference)
        }
        guard let result else { throw try missing(reference, skipped) }
        return (result, skipped)
    }

    /// Calls `body` with the first of some checkpoints for which it succeeds.
    ///
    /// Damage is skipped and reported; a checkpoint that retention removed after it was listed is
    /// skipped silently. This is the only walk back past damage.
    ///
    /// - Parameters:
    ///   - walksBack: false to try only the first checkpoint.
    ///   - selection: what is needed of a checkpoint of several ranks; nil means everything.
    ///   - onSkip: called with the damage of each checkpoint that is skipped, newest first.
    ///   - body: called again, once, if a repack replaced the manifest while it ran. Nil means that
    ///     the checkpoint is not one of those meant.
    ///   - candidates: lists the checkpoints, best first; called again if all were removed meanwhile.
    /// - Returns: the result, nil if no checkpoint gave one, and the damage of those skipped.
    /// - Throws: the error of `body`.
    package func walkBack<R>(
        _ walksBack: Bool = true, _ selection: PartFiles.Selection? = nil,
        onSkip: (CheckpointError) -> Void = { _ in },
        _ body: (Manifest) throws(CheckpointError) -> R?,
        among candidates: () throws(CheckpointError) -> [ManifestName]
    ) throws(CheckpointError) -> (result: R?, skipped: [CheckpointError]) {
        try walkBack(walksBack, onSkip: onSkip, among: candidates) { name throws(CheckpointError) in
            try files.reading(name, selection, body)
        }
    }

    /// Calls `body` with the first of some names for which it succeeds; otherwise the same.
    package func walkBack<R>(
        _ walksBack: Bool, onSkip: (CheckpointError) -> Void = { _ in },
        among candidates: () throws(CheckpointError) -> [ManifestName],
        reading body: (ManifestName) throws(CheckpointError) -> R?
    ) throws(CheckpointError) -> (result: R?, skipped: [CheckpointError]) {
        var skipped: [CheckpointError] = []
        // Retention that keeps one checkpoint may remove all listed ones: then list again.
        for _ in 0..<Self.listingsMax {
            let names = try candidates()
            for name in names {
                do throws(CheckpointError) {
                    if let result = try body(name) { return (result, skipped) }
                } catch {
                    guard walksBack, error.meansLoss else { throw error }
                    if isRemoved(name) { continue }
                    // The manifest exists, so something else was not found.
                    guard error.code != .notFound else { throw error }
                    onSkip(error)
                    skipped.append(error)
                }
            }
            guard skipped.isEmpty, !names.isEmpty else { break }
        }
        return (nil, skipped)
    }

    private static let listingsMax = 3

    /// Loads the manifest of the checkpoint that `reference` means; for `latest`, the newest that
    /// is readable.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint.
    ///   - onSkip: called with the damage of each manifest that is skipped, newest first.
    /// - Returns: the manifest, and the damage of the newer checkpoints that were skipped.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    package func load(
        _ reference: CheckpointReference, onSkip: (CheckpointError) -> Void = { _ in }
    ) throws(CheckpointError) -> (manifest: Manifest, skipped: [CheckpointError]) {
        let (manifest, skipped) = try withManifest(reference, onSkip: onSkip) {
            manifest throws(CheckpointError) in manifest
        }
        return (manifest, skipped)
    }

    private func isRemoved(_ name: ManifestName) -> Bool {
        // If the directory cannot be read, the checkpoint counts as present.
        do { return try fileSystem.identity(of: directories.path(of: name)) == nil } catch {
            return false
        }
    }

    /// Returns the error for a reference without a match: the damage found, or the nearest existing
    /// names.
    ///
    /// - Parameters:
    ///   - reference: the reference.
    ///   - skipped: the damage of the checkpoints that were skipped, newest first.
    /// - Throws: code `io` (the store cannot be listed).
    package func missing(
        _ reference: CheckpointReference, _ skipped: [CheckpointError]
    ) throws(CheckpointError) -> CheckpointError {
        if let first = skipped.first {
            return CheckpointError(
                .damaged,
                "all \(skipped.count) checkpoints in \(directories.root) are damaged; the newest: \(first)",
                remedy: "Run ckpt verify to list all damage", path: first.path)
        }
        let names = try newestFirst()
        guard !names.isEmpty else {
            return CheckpointError(.notFound, "the store \(directories.root) contains no checkpoints")
        }
        let near = try nearest(to: reference, names)
        return CheckpointError(
            .notFound, "no checkpoint matches \(reference)\(near.isEmpty ? "" : "; \(near)")",
            remedy: "List them with ckpt ls")
    }

    /// Returns the nearest existing steps, ids, tags or metrics, as part of a message.
    private func nearest(to reference: CheckpointReference, _ names: [ManifestName])
        throws(CheckpointError) -> String
    {
        switch reference {
        case .latest: return ""
        case .latestOfRun(let run):
            let known = try runHistory().names
            return list("the runs are", Nearest.byDistance(run, known))
        case .step(let step): return nearest(to: step, names)
        case .stepOfRun(let run, let step):
            let own = members(names, run).map(\.name)
            guard own.isEmpty else { return nearest(to: step, own) }
            let known = try runHistory().names
            return list("the runs are", Nearest.byDistance(run, known))
        case .id(let prefix):
            // A manifest that cannot be read has no id.
            let ids = catalog.entries(names).compactMap { try? $0.get().id.description }
            return list(
                "the nearest ids are", Nearest.byPrefix(prefix, ids).map { String($0.prefix(12)) })
        case .tag(let tag):
            let tags = try marks().tags.keys.map(\.description)
            return tags.isEmpty
                ? "there are no tags"
                : list("the nearest tags are", Nearest.byDistance(tag.description, tags))
        case .best(let metric, _):
            // A manifest that cannot be read has no metrics.
            let known = catalog.entries(names).compactMap { try? $0.get().metrics.keys }
            let metrics = Set(known.joined())
            return metrics.isEmpty
                ? "no checkpoint has metrics"
                : list("the metrics are", Nearest.byDistance(metric, Array(metrics), atMost: 8))
        }
    }

    private func nearest(to step: Int, _ names: [ManifestName]) -> String {
        let nearest = Set(names.map(\.step)).sorted {
            $0.distance(to: step).magnitude < $1.distance(to: step).magnitude
        }.prefix(3)
        return list("the nearest steps are", nearest.sorted().map(String.init))
    }

    private func list(_ words: String, _ items: [String]) -> String {
        items.isEmpty ? "" : "\(words) \(items.joined(separator: ", "))"
    }
}

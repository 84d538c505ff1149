internal import CheckpointCatalog
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments

extension CheckpointStore {
    /// The manifests that a reference may mean, best first. Only `latest` ever has more than one.
    package func candidates(_ reference: CheckpointReference) throws(CheckpointError) -> [ManifestName] {
        switch reference {
        case .latest: return try newestFirst()
        case .step(let step): return Array(try newestFirst().filter { $0.step == step }.prefix(1))
        case .stepOfRun(let run, let step): return try candidates(run: run, step: step)
        case .id(let prefix): return try candidates(prefix: prefix)
        case .tag(let tag): return try candidates(tag: tag)
        case .best(let metric, let isLargest):
            return try best(Best(metric: metric, isLargest: isLargest), try newestFirst())
        }
    }

    private func newestFirst() throws(CheckpointError) -> [ManifestName] { try files.names().reversed() }

    private func candidates(run: String, step: Int) throws(CheckpointError) -> [ManifestName] {
        let names = try newestFirst().filter { $0.step == step }
        if let name = names.first(where: { $0.run.description.hasPrefix(run) }) { return [name] }
        // What cannot be read has no name of a run.
        let entry = catalog.entries(names).lazy.compactMap { try? $0.get() }.first { $0.runName == run }
        return entry.map { [$0.name] } ?? []
    }

    private func candidates(prefix: String) throws(CheckpointError) -> [ManifestName] {
        let matches = catalog.names(idPrefix: prefix, among: try newestFirst())
        guard matches.count <= 1 else {
            throw CheckpointError(.notFound, "id prefix \(prefix) means \(matches.count) checkpoints", remedy: "Give more digits")
        }
        return matches
    }

    private func candidates(tag: TagName) throws(CheckpointError) -> [ManifestName] {
        guard let mark = try MarkFiles(files).mark(tag) else { return [] }
        do throws(CheckpointError) {
            if try files.load(mark.name).manifest.id == mark.id { return [mark.name] }
        } catch {
            // Damage is told of by whoever reads the checkpoint.
            guard error.code == .notFound else { return [mark.name] }
        }
        throw CheckpointError(
            .notFound, "the tag \(tag) is that of step \(mark.name.step) of run \(mark.name.run) (\(mark.id)), which is there no more",
            remedy: "Remove the tag with ckpt tag --delete, or move it with --force")
    }

    /// The catalog is an index that a flipped bit can change: what it calls best is believed only if the manifest says the same.
    private func best(_ rule: Best, _ names: [ManifestName]) throws(CheckpointError) -> [ManifestName] {
        guard let best = rule.choose(catalog.values(of: rule.metric, among: names)) else { return [] }
        let manifest = try files.load(best.name).manifest
        if manifest.metrics.first(where: { $0.name == rule.metric })?.value == best.value { return [best.name] }
        let read = names.compactMap { try? files.load($0) }.map(CatalogKeeper.entry)  // what cannot be read has no metrics
        return rule.choose(read.compactMap { entry in entry.metrics[rule.metric].map { (entry.name, $0) } }).map { [$0.name] } ?? []
    }

    /// Loads the checkpoint that is meant. `latest` walks back past damaged manifests, which are returned.
    package func load(
        _ reference: CheckpointReference
    ) throws(CheckpointError) -> (loaded: ManifestFiles.Loaded, skipped: [CheckpointError]) {
        var skipped: [CheckpointError] = []
        for name in try candidates(reference) {
            do throws(CheckpointError) { return (try files.load(name), skipped) } catch {
                guard reference == .latest, error.code == .damaged else { throw error }
                skipped.append(error)
            }
        }
        throw try missing(reference, skipped)
    }

    /// Why nothing was found, with what there is.
    package func missing(
        _ reference: CheckpointReference, _ skipped: [CheckpointError]
    ) throws(CheckpointError) -> CheckpointError {
        if let first = skipped.first {
            return CheckpointError(
                .damaged, "none of the \(skipped.count) checkpoints in \(directories.root) is whole; the newest: \(first)",
                remedy: "Run ckpt verify to see all of the damage", path: first.path)
        }
        let names = try newestFirst()
        guard !names.isEmpty else { return CheckpointError(.notFound, "the store \(directories.root) holds no checkpoint") }
        let near = try nearest(to: reference, names)
        return CheckpointError(
            .notFound, "no checkpoint matches \(reference)\(near.isEmpty ? "" : "; \(near)")", remedy: "List them with ckpt ls")
    }

    /// The nearest of what there is, in words.
    private func nearest(to reference: CheckpointReference, _ names: [ManifestName]) throws(CheckpointError) -> String {
        switch reference {
        case .latest: return ""
        case .step(let step), .stepOfRun(_, let step):
            let nearest = Set(names.map(\.step)).sorted { $0.distance(to: step).magnitude < $1.distance(to: step).magnitude }.prefix(3)
            return "the nearest steps are \(nearest.sorted().map(String.init).joined(separator: ", "))"
        case .id(let prefix):
            let ids = catalog.entries(names).compactMap { try? $0.get().id.description }  // what cannot be read has no id
            return list("the nearest ids are", Nearest.byPrefix(prefix, ids).map { String($0.prefix(12)) })
        case .tag(let tag):
            let tags = try marks().tags.keys.map(\.description)
            return tags.isEmpty ? "there are no tags" : list("the nearest tags are", Nearest.byDistance(tag.description, tags))
        case .best(let metric, _):
            let metrics = Set(catalog.entries(names).flatMap { (try? $0.get().metrics.keys).map(Array.init) ?? [] })  // likewise
            return metrics.isEmpty ? "there are no metrics" : list("there are", Nearest.byDistance(metric, Array(metrics), atMost: 8))
        }
    }

    private func list(_ words: String, _ items: [String]) -> String {
        items.isEmpty ? "" : "\(words) \(items.joined(separator: ", "))"
    }
}

/// Which checkpoint a metric calls best: pure.
struct Best {
    let metric: String
    let isLargest: Bool

    /// - Parameter values: newest first, so that of equals the newest is chosen; NaN is never best.
    func choose<Name>(_ values: [(name: Name, value: Double)]) -> (name: Name, value: Double)? {
        values.reduce(nil) { best, next in
            guard !next.value.isNaN else { return best }
            guard let best else { return next }
            return (isLargest ? next.value > best.value : next.value < best.value) ? next : best
        }
    }
}

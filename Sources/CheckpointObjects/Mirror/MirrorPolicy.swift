internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage

/// The rules of a mirror about the checkpoints that it keeps. Thread-safe.
final class MirrorPolicy: Sendable {
    /// The rules, by which at least the newest checkpoint of each run stays.
    let rules: RetentionPolicy
    /// The properties of checkpoints, which do not change.
    private let items = Monitor<[ManifestName: RetentionItem]>([:])

    /// Takes the rules.
    ///
    /// - Returns: nil if there are none: everything stays.
    init?(_ rules: RetentionPolicy?) {
        guard var rules, !rules.isEmpty else { return nil }
        // A policy that leaves only the newest checkpoint of a run is meant so here.
        rules.keepLast = max(rules.keepLast ?? 1, 1)
        self.rules = rules
    }

    /// Returns the checkpoints of a store that need not be sent, because the rules would remove
    /// them from the mirror at once. After a restart these are those that it has removed already.
    ///
    /// - Parameters:
    ///   - source: the store.
    ///   - mirrored: the checkpoints that the mirror has.
    ///   - copy: opens the mirror for reading.
    /// - Throws: as opening the mirror.
    func unwanted(
        in source: CheckpointStore, mirrored: Set<ManifestName>,
        copy: () throws(CheckpointError) -> CheckpointStore?
    ) throws(CheckpointError) -> Set<ManifestName> {
        let own = try source.files.names()
        let missing = own.filter { !mirrored.contains($0) }
        // One alone is the newest.
        guard missing.count > 1 else { return [] }
        let names = Set(own).union(mirrored)
        items.withLock { items in items = items.filter { names.contains($0.key) } }
        read(own, in: source)
        if let copy = try copy() { read(Array(mirrored), in: copy) }
        let marks = try source.marks()
        let tags = marks.tagsByName()
        let known = items.withLock { $0 }
        let marked = known.values.map { item in
            var item = item
            item.tags = tags[item.name] ?? []
            item.isPinned = marks.pins.contains(item.name)
            return item
        }.sorted { $0.name < $1.name }
        let plan = RetentionPlan(marked, rules, now: Clock.milliseconds)
        return Set(plan.removed).intersection(missing)
    }

    private func read(_ names: [ManifestName], in store: CheckpointStore) {
        for name in names where items.withLock({ $0[name] }) == nil {
            // One that cannot be read is sent, or found out to be damaged.
            guard let manifest = try? store.files.load(name).manifest else { continue }
            items.withLock { $0[name] = RetentionItem(manifest) }
        }
    }
}

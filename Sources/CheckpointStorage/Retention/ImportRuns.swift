package import CheckpointFormat

/// Groups imports into runs for retention: imports with the same name and store are one run. Each
/// import has its own ids. Pure.
package struct ImportRuns {
    private struct Name: Hashable {
        var run: String
        var store: StoreID
    }

    /// Id that stands for all imports of a name.
    private var ids: [Name: RunID] = [:]

    /// Creates an empty grouping.
    package init() {}

    /// Makes the item of an import a member of the run of its name; leaves other items as they are.
    ///
    /// - Parameters:
    ///   - item: an item of `manifest`; call it for all checkpoints in one order.
    ///   - manifest: the checkpoint.
    package mutating func join(_ item: inout RetentionItem, of manifest: Manifest) {
        guard manifest.origin.kind == .imported else { return }
        let name = Name(run: manifest.runName, store: manifest.origin.store)
        let id = ids[name] ?? item.branch
        ids[name] = id
        (item.run, item.branch) = (id, id)
    }
}

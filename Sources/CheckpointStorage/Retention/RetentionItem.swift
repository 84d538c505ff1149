package import CheckpointCatalog
package import CheckpointFormat

/// The properties of a checkpoint that retention rules use.
package struct RetentionItem {
    package var name: ManifestName
    /// Id of the run.
    package var run: RunID
    /// Id of the branch: checkpoints of one branch are counted together.
    package var branch: RunID
    /// The checkpoint that its restart was resumed from.
    package var parent: ManifestName?
    /// Time of the save, in milliseconds since 1970.
    package var created: Int
    package var metrics: [String: Double] = [:]
    package var tags: [String] = []
    package var isPinned = false
    /// True if it is known that the checkpoint cannot be restored.
    package var isDamaged = false

    /// Creates an item without metrics and marks.
    ///
    /// - Parameters:
    ///   - name: file name of the manifest.
    ///   - run: id of the run; nil means that of the branch.
    ///   - branch: id of the branch.
    ///   - parent: the checkpoint that its restart was resumed from.
    ///   - created: time of the save, in milliseconds since 1970.
    package init(
        name: ManifestName, run: RunID? = nil, branch: RunID, parent: ManifestName? = nil,
        created: Int = 0
    ) {
        (self.name, self.run, self.branch) = (name, run ?? branch, branch)
        (self.parent, self.created) = (parent, created)
    }

    /// Creates the item of a checkpoint, without marks.
    package init(_ manifest: Manifest) {
        self.init(RunMember(manifest))
        for metric in manifest.metrics { metrics[metric.name] = metric.value }
    }

    /// Creates the item of a member of a run, without metrics and marks.
    package init(_ member: RunMember) {
        self.init(
            name: member.name, run: member.origin.run, branch: member.origin.branch,
            parent: member.parent, created: member.created)
    }
}

extension RunHistory {
    /// Returns the readable checkpoints of a branch of a run, as retention counts them.
    ///
    /// - Parameters:
    ///   - branch: id of the branch.
    ///   - run: the run's name.
    /// - Returns: the checkpoints in order of name.
    package func items(ofBranch branch: RunID, in run: String) -> [RetentionItem] {
        members(ofBranch: branch, in: run).map { RetentionItem($0) }
    }
}

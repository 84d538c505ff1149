package import CheckpointFormat

/// The checkpoints of one branch that its newest checkpoint descends from. Pure.
///
/// A restart that resumed from an earlier checkpoint than the newest supersedes those in between:
/// they were damaged, or training went on without them.
package struct BranchLine {
    /// A checkpoint of the branch.
    package struct Member {
        package var name: ManifestName
        /// The checkpoint that the restart was resumed from; nil if there is none, or if the
        /// manifest cannot be read.
        package var parent: ManifestName?

        package init(name: ManifestName, parent: ManifestName?) {
            (self.name, self.parent) = (name, parent)
        }
    }

    /// Indices of the members on the line, newest first. The others are superseded.
    package private(set) var indices: [Int] = []
    /// The name that members of restarts before the last one walked must not exceed; nil if no
    /// restart has a parent.
    package private(set) var limit: ManifestName?
    /// True if the first restart on the line has no readable parent.
    package private(set) var endsWithoutParent = true

    /// Walks the branch back.
    ///
    /// - Parameters:
    ///   - members: the branch's checkpoints in order of name, oldest first.
    ///   - limit: members with a greater name are not on the line; nil for no limit.
    package init(_ members: [Member], limit: ManifestName? = nil) {
        self.limit = limit
        /// The restart that the line passes through, and its parent.
        var current: (restart: RunID, parent: ManifestName?)?
        for index in members.indices.reversed() {
            let member = members[index]
            if let passed = current, passed.restart != member.name.run {
                leave(passed.parent)
                current = nil
            }
            if let limit = self.limit, member.name > limit { continue }
            indices.append(index)
            current = (member.name.run, current?.parent ?? member.parent)
        }
        if let current { leave(current.parent) }
    }

    /// Applies the parent of a restart: older restarts count up to that checkpoint.
    private mutating func leave(_ parent: ManifestName?) {
        endsWithoutParent = parent == nil
        guard let parent else { return }
        limit = limit.map { min($0, parent) } ?? parent
    }
}

package import CheckpointCatalog
package import CheckpointFormat

/// The runs of a store: which checkpoints a training loop continues from. Pure.
package struct RunHistory {
    /// All readable checkpoints in order of name, oldest first.
    private let members: [RunMember]
    /// Checkpoints whose manifest cannot be read, in order of name.
    private let unreadable: [ManifestName]
    private let store: StoreID
    private let defaultName: String

    /// Collects the checkpoints of a store.
    ///
    /// - Parameters:
    ///   - members: the readable checkpoints in order of name.
    ///   - unreadable: the names of the others, in order.
    ///   - store: the store's id; checkpoints of other origin are copies.
    ///   - defaultName: name of a run without a name.
    package init(
        _ members: [RunMember], unreadable: [ManifestName], store: StoreID, defaultName: String
    ) {
        (self.members, self.unreadable) = (members, unreadable)
        (self.store, self.defaultName) = (store, defaultName)
    }

    /// Returns true if training in this store saved the checkpoint.
    private func isOwn(_ member: RunMember) -> Bool {
        member.origin.kind == .training && member.origin.store == store
    }

    private func name(of member: RunMember) -> String {
        member.runName.isEmpty ? defaultName : member.runName
    }

    /// Names of the runs that were trained in this store, the one saved to last first.
    package var ownNames: [String] {
        var seen: Set<String> = []
        return members.reversed().filter(isOwn).map(name).filter { seen.insert($0).inserted }
    }

    /// Names of all runs, imports and copies, the newest first.
    package var names: [String] {
        var seen: Set<String> = []
        return members.reversed().map(name).filter { seen.insert($0).inserted }
    }

    /// Chooses the run that a training loop continues.
    ///
    /// - Parameter asked: the name that the loop gives its run; nil if it gives none.
    /// - Returns: the name.
    /// - Throws: code `misuse` (no name was given, and the store holds several runs).
    package func chooseName(_ asked: String?) throws(CheckpointError) -> String {
        if let asked { return asked }
        let names = ownNames
        if names.isEmpty || names.contains(defaultName) { return defaultName }
        guard names.count > 1 else { return names[0] }
        throw CheckpointError(
            .misuse,
            "the store has \(names.count) runs (\(names.prefix(8).joined(separator: ", "))), but options.run is not set",
            remedy: "Set options.run to the run to continue, or to a new name")
    }

    /// Returns the branch of the newest checkpoint of a run.
    ///
    /// - Parameter run: the run's name.
    /// - Returns: nil if training in this store saved none.
    package func branch(of run: String) -> RunID? {
        members.last { contains($0, in: run) }?.origin.branch
    }

    /// Returns true if training in this store saved the checkpoint in this run.
    ///
    /// - Parameters:
    ///   - member: the checkpoint.
    ///   - run: the run's name.
    package func contains(_ member: RunMember, in run: String) -> Bool {
        isOwn(member) && name(of: member) == run
    }

    /// Returns the place of a process that begins to save.
    ///
    /// - Parameters:
    ///   - run: name of its run.
    ///   - restart: its restart id.
    /// - Returns: a place on a new branch: what the process does not resume, it does not
    ///   continue.
    package func place(of restart: RunID, in run: String) -> CheckpointOrigin {
        let earlier = members.filter { contains($0, in: run) }
        guard let newest = earlier.last else {
            return CheckpointOrigin(
                kind: .training, store: store, run: restart, branch: restart, restart: 0)
        }
        let number =
            earlier.lazy.filter { $0.origin.run == newest.origin.run }.map(\.origin.restart).max()
            ?? 0
        return CheckpointOrigin(
            kind: .training, store: store, run: newest.origin.run, branch: restart,
            // A forged manifest may have any number.
            restart: number == .max ? number : number + 1)
    }

    /// Returns the readable checkpoints of a branch of a run.
    ///
    /// - Parameters:
    ///   - branch: id of the branch.
    ///   - run: the run's name.
    /// - Returns: the checkpoints in order of name.
    package func members(ofBranch branch: RunID, in run: String) -> [RunMember] {
        members.filter { $0.origin.branch == branch && contains($0, in: run) }
    }

    /// Returns the checkpoints whose chunks a save may name instead of writing its own.
    ///
    /// Training uses those of training in this store alone. Content is known by a hash that is not
    /// cryptographic: another file could be made to have the hash of what is trained here, such as
    /// of well-known weights, and would then be restored in its place.
    ///
    /// - Parameter kind: the cause of the save.
    /// - Returns: names, oldest first.
    package func reusable(by kind: CheckpointOrigin.Kind) -> [ManifestName] {
        (kind == .training ? members.filter(isOwn) : members).map(\.name)
    }

    /// Returns the checkpoints that a run is resumed from: the newest branch back to its beginning,
    /// then the branch that it came from, and so on.
    ///
    /// Checkpoints whose manifest cannot be read are among them, unless they are known to belong to
    /// another run.
    ///
    /// - Parameter run: the run's name.
    /// - Returns: names, best first.
    package func line(of run: String) -> [ManifestName] {
        let own = members.filter { contains($0, in: run) }
        let branches = Dictionary(grouping: own, by: \.origin.branch)
        let branchOfRestart = Dictionary(
            own.map { ($0.name.run, $0.origin.branch) }, uniquingKeysWith: { first, _ in first })
        let foreign = Set(members.filter { !contains($0, in: run) }.map(\.name.run))
        var lost = unreadable.filter { branchOfRestart[$0.run] == nil && !foreign.contains($0.run) }
        guard let newest = own.last else { return lost.reversed() }
        var line: [ManifestName] = []
        var next: RunID? = newest.origin.branch
        var walked: Set<RunID> = []
        var limit: ManifestName?
        while let branch = next, walked.insert(branch).inserted {
            next = nil
            let damaged = unreadable.filter { branchOfRestart[$0.run] == branch } + lost
            lost = []
            let known = (branches[branch] ?? []).map {
                BranchLine.Member(name: $0.name, parent: $0.parent)
            }
            let all = (known + damaged.map { .init(name: $0, parent: nil) }).sorted {
                $0.name < $1.name
            }
            let walk = BranchLine(all, limit: limit)
            line += walk.indices.map { all[$0].name }
            limit = walk.limit
            if !walk.endsWithoutParent, let limit {
                next = branchOfRestart[limit.run]
            } else if !damaged.isEmpty, let first = line.last {
                // The parent was lost with the manifests: any earlier checkpoint of the run will do.
                next =
                    own.last { $0.name < first && !walked.contains($0.origin.branch) }?.origin
                    .branch
                limit = first
            }
        }
        return line
    }

    /// Returns the checkpoints that are newer than one that a run was resumed from, with the reason
    /// why each was not.
    ///
    /// - Parameters:
    ///   - chosen: the checkpoint that was restored.
    ///   - created: when it was saved, in milliseconds since 1970.
    ///   - run: the run's name.
    ///   - line: the checkpoints that were considered.
    /// - Returns: the newest first.
    package func passedOver(
        newerThan chosen: ManifestName, at created: Int, in run: String, line: [ManifestName]
    ) -> [PassedOver] {
        let considered = Set(line)
        return members.reversed().compactMap { member in
            let isNewer = member.created > created || member.name > chosen
            guard isNewer, !considered.contains(member.name) else { return nil }
            return PassedOver(
                run: name(of: member), step: member.name.step, created: member.created,
                reason: reason(member, run))
        }
    }

    private func reason(_ member: RunMember, _ run: String) -> PassedOver.Reason {
        switch member.origin.kind {
        case .imported: return .imported
        case .salvaged: return .salvaged
        case .training: break
        }
        guard member.origin.store == store else { return .copied }
        return name(of: member) == run ? .otherBranch : .otherRun
    }
}

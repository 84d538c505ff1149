internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// Finds the damaged files of a store, and the tensors and objects lost by them. Reads everything,
/// and writes nothing but what its mender replaces.
struct RepairSurvey {
    /// Names of the lost tensors and objects of one checkpoint, in its manifest's order.
    struct Losses {
        var tensors: [String] = []
        var objects: [String] = []
        var isEmpty: Bool { tensors.isEmpty && objects.isEmpty }
    }

    /// A checkpoint that names a damaged segment.
    struct Affected {
        var manifest: Manifest
        var losses: Losses
    }

    let store: CheckpointStore
    private let cancellation: Cancellation
    /// Replaces damaged files by those of a copy; nil if there is none.
    private(set) var mender: FileMender?
    private(set) var unreadable: [(name: ManifestName, error: CheckpointError)] = []
    /// Manifests that differ from their catalog rows.
    private(set) var contradicted: [ManifestName] = []
    /// Faults of each segment that has any.
    private(set) var broken: [SegmentName: [SegmentFault]] = [:]
    private var missing = Set<SegmentName>()
    private var uses: [SegmentName: SegmentUse] = [:]
    private var withDeltas: [ManifestName] = []
    /// Ids of damaged checkpoints that were salvaged before.
    private var salvaged = Set<CheckpointID>()
    private var lost = LostBlocks()

    init(
        store: CheckpointStore, mender: FileMender? = nil,
        cancellation: Cancellation = Cancellation()
    ) {
        self.store = store
        self.mender = mender
        self.cancellation = cancellation
    }

    /// Segments with faults whose files exist.
    var existingBroken: [SegmentName] {
        broken.keys.filter { !missing.contains($0) }.sorted { $0.description < $1.description }
    }

    mutating func run(_ progress: (Int, Int) -> Void) throws(CheckpointError) {
        for name in try store.files.names() { try read(name) }
        try requireSegments()
        let total = uses.values.reduce(0) { $0 + $1.fileBytes }
        var done = 0
        for (name, use) in uses.sorted(by: { $0.key.description < $1.key.description }) {
            try cancellation.check("the repair", remedy: "Run the command again to continue")
            let faults = faults(of: name, use) { progress(min(done + $0, total), total) }
            done += use.fileBytes
            if faults.isEmpty { continue }
            if try !mend(name, use, faults) { try note(faults, name) }
        }
    }

    private func faults(
        of name: SegmentName, _ use: SegmentUse, _ progress: (Int) -> Void
    ) -> [SegmentFault] {
        var check = SegmentCheck(store: store, name: name, use: use)
        check.structure()
        check.contents(where: { _ in true }, progress)
        return check.faults
    }

    /// Replaces a segment that has lost something.
    private mutating func mend(
        _ name: SegmentName, _ use: SegmentUse, _ faults: [SegmentFault]
    ) throws(CheckpointError) -> Bool {
        guard faults.allSatisfy(\.error.meansLoss) else { return false }
        return try mender?.mend(name, use) ?? false
    }

    /// Checks that `segments/` can be listed. A missing or unreadable directory most likely means
    /// an unmounted disk: nothing must be treated as lost then.
    private func requireSegments() throws(CheckpointError) {
        guard !uses.isEmpty else { return }
        do { _ = try store.fileSystem.list(store.directories.segments) } catch {
            var failure = CheckpointError(error)
            failure.code = .io
            failure.remedy =
                "Check that the disk is mounted. If the disk is lost, create an empty directory "
                + "\(store.directories.segments)"
            throw failure
        }
    }

    private mutating func read(_ name: ManifestName) throws(CheckpointError) {
        do throws(CheckpointError) {
            let loaded = try load(name)
            uses.add(loaded.manifest)
            if loaded.manifest.hasBases { withDeltas.append(name) }
            if store.catalog.contradiction(of: loaded) != nil { contradicted.append(name) }
            if let parent = loaded.manifest.parent,
                loaded.manifest.objects.contains(where: { $0.name == Salvage.objectName })
            {
                salvaged.insert(parent.id)
            }
        } catch {
            switch error.code {
            // Removed by its owner since it was listed.
            case .notFound: return
            case .damaged: unreadable.append((name, error))
            default: throw error
            }
        }
    }

    /// Loads a manifest, from the copy if it is damaged here.
    private mutating func load(
        _ name: ManifestName
    ) throws(CheckpointError) -> ManifestFiles.Loaded {
        do throws(CheckpointError) { return try store.files.load(name) } catch {
            guard error.code == .damaged, let mended = try mender?.mend(name) else { throw error }
            return mended
        }
    }

    private mutating func note(_ faults: [SegmentFault], _ name: SegmentName)
        throws(CheckpointError)
    {
        guard !faults.isEmpty else { return }
        // Bytes that cannot be read just now are not lost, and must not be treated as lost.
        if let other = faults.first(where: { !$0.error.meansLoss }) { throw other.error }
        broken[name] = faults
        lost.add(faults, name)
        if faults.contains(where: { $0.error.code == .notFound }) { missing.insert(name) }
    }

    func isSalvaged(_ id: CheckpointID) -> Bool { salvaged.contains(id) }

    /// Returns the checkpoints that need a repair, oldest first.
    ///
    /// - Throws: codes `io`, `outOfMemory`: bytes that are unreadable for now.
    func affected() throws(CheckpointError) -> [Affected] {
        let names = Set(broken.keys.flatMap { uses[$0]?.manifests ?? [] }).union(withDeltas)
        var affected: [Affected] = []
        for name in names.sorted() {
            do throws(CheckpointError) {
                let manifest = try store.files.load(name).manifest
                let losses = try losses(of: manifest)
                let isTouched = manifest.segments.contains { broken[$0.name] != nil }
                if isTouched || !losses.isEmpty {
                    affected.append(Affected(manifest: manifest, losses: losses))
                }
            } catch { if error.code != .notFound { throw error } }  // removed by its owner since
        }
        return affected
    }

    private func losses(of manifest: Manifest) throws(CheckpointError) -> Losses {
        var (tensors, objects) = (Set<ByteName>(), Set<ByteName>())
        func add(_ found: (tensors: [String], objects: [String])) {
            tensors.formUnion(found.tensors.map { ByteName($0) })
            objects.formUnion(found.objects.map { ByteName($0) })
        }
        for segment in manifest.segments.map(\.name) {
            guard let faults = broken[segment] else { continue }
            var owners = SegmentOwners()
            owners.add(manifest, segment: segment)
            for fault in faults { add(owners.losers(by: fault.loss)) }
        }
        if manifest.hasBases {
            for fault in DeltaCheck(store: store, manifest: manifest, lost: lost, chosen: nil)
                .faults()
            {
                guard fault.error.meansLoss else { throw fault.error }
                add((fault.finding.tensors, fault.finding.objects))
            }
        }
        return Losses(
            tensors: manifest.tensors.map(\.name).filter { tensors.contains(ByteName($0)) },
            objects: manifest.objects.map(\.name).filter { objects.contains(ByteName($0)) })
    }

    /// Returns the segments to link into quarantine: damaged ones; those named by a checkpoint that
    /// has lost something, so that the checkpoint can be put back from `quarantine/`; and, if a
    /// manifest cannot be read, all segments that no other manifest names, since that one may.
    func endangered(_ affected: [Affected]) throws(CheckpointError) -> [SegmentName] {
        let named = affected.filter { !$0.losses.isEmpty }.flatMap {
            $0.manifest.segments.map(\.name)
        }
        let known = Set(named).subtracting(missing).union(existingBroken).sorted {
            $0.description < $1.description
        }
        return try known + (unreadable.isEmpty ? [] : unnamedSegments())
    }

    private func unnamedSegments() throws(CheckpointError) -> [SegmentName] {
        let names = try translating("listing segments") {
            try store.fileSystem.list(store.directories.segments)
        }
        return names.compactMap { SegmentName($0) }.filter { uses[$0] == nil }.sorted {
            $0.description < $1.description
        }
    }
}

extension RepairSurvey.Affected {
    private var lostTensors: Set<ByteName> { Set(losses.tensors.map { ByteName($0) }) }
    private var lostObjects: Set<ByteName> { Set(losses.objects.map { ByteName($0) }) }

    var survivingTensors: [TensorRecord] {
        let lost = lostTensors
        return manifest.tensors.filter { !lost.contains(ByteName($0.name)) }
    }

    var survivingObjects: [ObjectRecord] {
        let lost = lostObjects
        return manifest.objects.filter { !lost.contains(ByteName($0.name)) }
    }

    var hasSurvivors: Bool { !survivingTensors.isEmpty || !survivingObjects.isEmpty }

    /// Returns the blocks of one segment that intact tensors and objects need, including bases of
    /// deltas.
    func survivingBlocks(in segment: SegmentName) -> [SegmentBlock] {
        let chunks =
            survivingTensors.flatMap { $0.shards.map(\.chunks) } + survivingObjects.map(\.chunks)
        let rows = Set(chunks.joined().flatMap { manifest.chain(of: manifest.chunks[$0].block) })
        return rows.map { manifest.blocks[$0] }.filter {
            !$0.codec.isCast && manifest.segments[$0.segment].name == segment
        }.map(\.location)
    }
}

internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage

/// The parts of a checkpointer that are made by its options.
extension Checkpointer {
    /// Returns the id of this restart. Ranks meet, and take the one that rank 0 has chosen.
    static func restart(
        _ store: CheckpointStore, after names: [ManifestName]
    ) throws(CheckpointError) -> RunID {
        let now = UInt64(Clock.milliseconds)
        // Each rank shows that it is there, and that it is the only one of its number.
        _ = try store.meeting?.collect([])
        return try store.agreed(RunID.next(clockMilliseconds: now, after: names.last?.run))
    }

    /// Returns the name of the run, and the place of a restart in it.
    static func place(
        of restart: RunID, _ options: CheckpointerOptions, _ store: CheckpointStore,
        _ history: RunHistory
    ) throws(CheckpointError) -> (name: String, place: CheckpointOrigin, isUnresumed: Bool) {
        if options.kind == .training {
            let name = try runName(options, store, history)
            return (name, history.place(of: restart, in: name), history.branch(of: name) != nil)
        }
        let place = CheckpointOrigin(
            kind: options.kind, store: store.id, run: restart, branch: restart, restart: 0)
        return (options.run ?? store.defaultRunName, place, false)
    }

    /// Returns the name of the run to continue. A directory that has replaced a lost one continues
    /// the run that is in the mirror, whatever the name of the directory.
    private static func runName(
        _ options: CheckpointerOptions, _ store: CheckpointStore, _ history: RunHistory
    ) throws(CheckpointError) -> String {
        // Several ranks, which need not all have the mirror, are told the name.
        guard options.run == nil, history.ownNames.isEmpty, store.meeting == nil,
            let copied = copiedHistory(of: store), !copied.ownNames.isEmpty,
            !copied.ownNames.contains(store.defaultRunName)
        else { return try history.chooseName(options.run) }
        return try copied.chooseName(nil)
    }

    /// Reads the runs of the mirror; nil if it is none of this store, or cannot be read, which is
    /// an error of `resume`.
    private static func copiedHistory(of store: CheckpointStore) -> RunHistory? {
        do throws(CheckpointError) {
            guard let copy = try store.mirror?.openStore(), copy.id == store.id else { return nil }
            return try copy.runHistory()
        } catch { return nil }
    }

    static func pipeline(
        _ options: CheckpointerOptions, _ budget: ArenaBudget, _ trainer: TraceTrack,
        _ completion: SaveCompletion
    ) throws(CheckpointError) -> SavePipeline {
        var configuration = SavePipeline.Configuration(
            options, budget, encodes: options.compression != .none)
        configuration.trainer = trainer
        // Workers encode, and so does the thread for objects.
        options.compression.codec.prepareToEncode(
            threads: options.workers + 1, rawBytes: options.chunkBytes)
        return try translating("starting") {
            try SavePipeline(configuration, completion)
        }
    }

    static func protection(
        _ options: CheckpointerOptions, _ checker: MutationChecker?, _ pipeline: SavePipeline,
        _ stalls: Monitor<StallReport>
    ) throws(CheckpointError) -> (any StateProtection)? {
        if let checker { return checker }
        guard options.capture == .guarded else { return nil }
        return try translating("watching the state") {
            try GuardedCapture(pipeline, beforeRelease: options.beforeRelease) { time, waited in
                stalls.withLock { $0.add(wait: time, backpressure: waited) }
            }
        }
    }

    /// Begins to keep the store's mirror up to date.
    ///
    /// - Returns: nil if there is none, or another rank does it.
    static func follow(
        _ store: CheckpointStore, _ observers: SaveObservers
    ) throws(CheckpointError) -> (any MirrorFollowing)? {
        guard let mirror = store.mirror, store.meeting?.ranks.rank ?? 0 == 0 else { return nil }
        let root = store.directories.root
        return try mirror.follow(store) { [weak observers] event in
            switch event {
            case .mirrored(let step, let bytes):
                observers?.notify(.mirrored(step: step, newBytes: bytes))
            case .failed(let error):
                observers?.warn(
                    "the mirror \(mirror.place) is not up to date; "
                        + "sending will be tried again: \(error)")
            case .ahead(let step):
                observers?.warn(
                    "the mirror \(mirror.place) has a newer checkpoint (step \(step)) than "
                        + "\(root) had when it was opened. If \(root) is an older "
                        + "copy of the store, stop, and copy the newer checkpoints back with "
                        + "ckpt mirror \(mirror.place) \(root)")
            case .recovered: observers?.note("the mirror \(mirror.place) is up to date again")
            }
        }
    }

    /// Reads the newest checkpoints now, and the others in the background.
    static func readHistory(
        _ names: [ManifestName], _ reuse: BlockReuse?, _ observers: SaveObservers
    ) -> WorkerThread? {
        guard let reuse else { return nil }
        reuse.readHistory(names.suffix(2))
        do {
            return try WorkerThread(name: "ckpt-history") {
                reuse.readHistory(names.dropLast(2))
                reuse.finishHistory()
            }
        } catch {
            // Without the thread, less is reused.
            reuse.finishHistory()
            observers.warn(
                "deduplication against earlier checkpoints is disabled: \(error)")
            return nil
        }
    }
}

internal import CheckpointInterchange
internal import CheckpointMaintenance
internal import CheckpointStorage
import Checkpointing
import SystemPackage

/// Diagnoses a store of ckpt.
struct StoreDiagnosis {
    let place: Surroundings
    /// Maximum number of manifests to open.
    private static let manifestsMax = 500

    private var path: String { quoted(place.path.string) }

    func run() -> Diagnosis? {
        guard place.has("store.json") else { return interrupted }
        do throws(CheckpointError) {
            return try look(CheckpointStore.open(place.path.string))
        } catch {
            switch error.code {
            case .unsupported:
                return Diagnosis(
                    .storeOfTheFuture, "A ckpt store, written by a newer version of ckpt.",
                    problems: [error.description],
                    advice: ["Update ckpt: the store was written by a newer version."])
            // A store.json of another program.
            case .damaged where !isOurs: return nil
            case .damaged where error.path?.hasSuffix("store.json") == true:
                return Diagnosis(
                    .damagedStore, "A ckpt store that cannot be opened.",
                    problems: [error.description],
                    advice: ["ckpt repair \(path)      # rebuilds store.json from the checkpoints"])
            default:
                return Diagnosis(
                    .damagedStore, "A ckpt store that cannot be read.",
                    problems: [error.description],
                    advice: [
                        "Check that the disk is mounted, and check the permissions, before you run ckpt repair."
                    ])
            }
        }
    }

    private var isOurs: Bool {
        place.text("store.json", atMost: 65536)?.contains("ckpt-store") == true || hasParts
    }
    private var hasParts: Bool { place.isDirectory("manifests") && place.isDirectory("segments") }

    /// `writer.lock` is made first, `store.json` last.
    private var interrupted: Diagnosis? {
        let manifests = place.inside("manifests")?.names.count ?? 0
        if manifests == 0, hasParts || place.has("writer.lock"),
            place.names.allSatisfy(StoreFounding.isMadeBeforeIdentity)
        {
            return Diagnosis(
                .interruptedStore, "A ckpt store whose creation was interrupted. It is empty.",
                advice: ["Start the trainer or ckpt import again: it completes the store."])
        }
        guard place.has("manifests"), hasParts || place.has("writer.lock") else { return nil }
        return Diagnosis(
            .damagedStore, "It looks like a ckpt store, but has no store.json.",
            facts: ["It contains \(Output.count(manifests, "manifest"))."],
            problems: ["store.json is missing: the store cannot be opened."],
            advice: ["ckpt repair \(path)      # rebuilds store.json from the checkpoints"])
    }

    private func look(_ store: CheckpointStore) throws(CheckpointError) -> Diagnosis {
        var diagnosis = Diagnosis(.store, "A ckpt store.")
        let names = try store.files.names()
        // A checkpoint that cannot be read has a run, too.
        let runs = names.count > Self.manifestsMax ? nil : max(try store.runHistory().names.count, 1)
        diagnosis.facts.append(
            names.last.map { newest in
                "\(Output.count(names.count, "checkpoint"))\(runs.map { " of \(Output.count($0, "run"))" } ?? ""); "
                    + "the newest is step \(newest.step)."
            } ?? "It contains no checkpoints.")
        try checkManifests(store, names.count, &diagnosis)
        try checkCatalog(store, &diagnosis)
        try lookForLeftovers(store, names.count, &diagnosis)
        lookForRanks(store, &diagnosis)
        lookAround(&diagnosis)
        if diagnosis.problems.isEmpty {
            diagnosis.advice.append(names.isEmpty ? "A trainer can save here." : "ckpt ls \(path)")
            if !names.isEmpty {
                diagnosis.advice.append(
                    "ckpt verify \(path)      # checks every block; doctor does not")
            }
        }
        return diagnosis
    }

    private func checkManifests(
        _ store: CheckpointStore, _ count: Int, _ diagnosis: inout Diagnosis
    ) throws(CheckpointError) {
        guard count > 0 else { return }
        let isMany = count > Self.manifestsMax
        if isMany {
            diagnosis.facts.append(
                "Only the newest checkpoint was examined, because there are many.")
        }
        let report = try store.verify(isMany ? .latest : nil, quick: true)
        let bad = report.findings.filter { $0.kind == .damage || $0.kind == .unchecked }
        for finding in bad.prefix(10) {
            diagnosis.problems.append("\(finding.kind.rawValue): \(finding.message)")
        }
        if bad.count > 10 {
            diagnosis.problems.append("\(Output.count(bad.count - 10, "more problem")) like these.")
        }
        if !bad.isEmpty {
            diagnosis.advice += ["ckpt verify \(path)", "ckpt repair \(path) --dry-run"]
        }
    }

    private func checkCatalog(_ store: CheckpointStore, _ diagnosis: inout Diagnosis)
        throws(CheckpointError)
    {
        let advice = "ckpt repair \(path)      # or start a trainer: both update the catalog"
        guard place.has("catalog.sqlite") else {
            diagnosis.facts.append(
                "It has no catalog. The next writer creates one; until then, lists are slower.")
            return
        }
        guard let gap = try store.catalogGap() else {
            diagnosis.problems.append(
                "The catalog cannot be read. Checkpoints are not affected, but lists are slower.")
            return diagnosis.advice.append(advice)
        }
        guard gap != (0, 0) else { return }
        diagnosis.problems.append(
            "The catalog is out of date: \(Output.count(gap.unknown, "checkpoint")) missing, "
                + "\(gap.gone) deleted but still listed. "
                + "Checkpoints are not affected.")
        diagnosis.advice.append(advice)
    }

    /// Files of no checkpoint. Every manifest is read for that, so not if there are many.
    private func lookForLeftovers(
        _ store: CheckpointStore, _ count: Int, _ diagnosis: inout Diagnosis
    ) throws(CheckpointError) {
        guard count <= Self.manifestsMax else { return }
        let leavings = try store.leavings()
        guard leavings.count > 0 else { return }
        let files = "\(Output.count(leavings.count, "file")) (\(Output.size(leavings.bytes)))"
        if let status = try store.look().status {
            diagnosis.facts.append(
                "Process \(status.process) is saving: \(files) not part of a checkpoint yet.")
        } else if uncommitted(store).contains(where: { $0.isLeased(Clock.milliseconds) }) {
            diagnosis.facts.append(
                "\(files) not part of a checkpoint yet: "
                    + "a save of several ranks may still be running.")
        } else {
            let isRepaired = place.inside("quarantine").map { !$0.names.isEmpty } ?? false
            let them = leavings.count == 1 ? "it" : "them"
            diagnosis.facts.append(
                (isRepaired
                    ? "\(files) not part of any checkpoint, left by a killed writer "
                        + "or by ckpt repair."
                    : "A killed writer left \(files) behind.")
                    + " The next writer deletes \(them).")
            diagnosis.advice.append("ckpt clean \(path)      # deletes them now")
        }
    }

    private func uncommitted(_ store: CheckpointStore) -> [RankAttempts.Attempt] {
        // A directory that cannot be listed is a problem of the checks before.
        (try? RankAttempts(files: store.files).uncommitted()) ?? []
    }

    /// Saves of several ranks that are not committed.
    private func lookForRanks(_ store: CheckpointStore, _ diagnosis: inout Diagnosis) {
        let attempts = RankAttempts(files: store.files)
        let open = uncommitted(store)
        for attempt in open.suffix(3) {
            let ranks = attempt.worldSize ?? 0
            let missing = (0..<ranks).filter { !attempt.saved.contains($0) }
            let began = attempt.lastBegun.map { (Clock.milliseconds - $0) / 60_000 } ?? 0
            diagnosis.facts.append(
                "The save of step \(attempt.name.checkpoint.step) by \(Output.count(ranks, "rank")) is not committed."
                    + (missing.isEmpty
                        ? " All ranks have saved."
                        : " Ranks that have not saved: \(RankGroup.text(of: missing)).")
                    + " The last rank began \(Output.count(began, "minute")) ago.")
            for rank in attempt.failed.prefix(3) {
                let text =
                    attempts.failure(of: rank, in: attempt.name) ?? "its error cannot be read"
                diagnosis.facts.append("Rank \(rank) has failed: \(text)")
            }
        }
        guard !open.isEmpty else { return }
        if open.count > 3 {
            diagnosis.facts.append("In total, \(open.count) saves are not committed.")
        }
        let isOver = open.contains { !$0.isLeased(Clock.milliseconds) }
        diagnosis.advice.append(
            isOver
                ? "ckpt clean \(path)      # deletes what saves of several ranks left more than a day ago"
                : "If no rank is running, start the ranks again: they resume from the "
                    + "newest checkpoint. "
                    + "A writer may delete the files of a save one day after its last rank began."
        )
    }

    private func lookAround(_ diagnosis: inout Diagnosis) {
        if let quarantine = place.inside("quarantine"), !quarantine.names.isEmpty {
            diagnosis.facts.append(
                "quarantine/ has \(Output.count(quarantine.names.count, "damaged file")) that repair moved there. "
                    + "Delete quarantine/ when you no longer need its files."
            )
        }
        for part in ["manifests", "segments", "staging"] where !place.isDirectory(part) {
            diagnosis.facts.append(
                "\(part)/ is missing, as after a copy without empty directories. The next writer creates it."
            )
        }
    }
}

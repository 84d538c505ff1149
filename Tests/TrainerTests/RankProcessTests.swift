import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointObjects
import CheckpointSegments
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import Foundation
import SystemPackage
import Testing

/// Number of runs.
private let rankRuns =
    ProcessInfo.processInfo.environment["CKPT_RANK_RUNS"].flatMap { Int($0) } ?? 20

/// Ranks, real processes, of which one or two are killed or stopped before a change of the file
/// system that a seed chooses, sometimes with several publishers, sometimes for so long that the
/// others try the step again.
@Suite("Killed ranks", .timeLimit(.minutes(20 + rankRuns / 5)))
struct RankProcessTests {
    /// 2,000 in the long campaign, `Tools/campaign`.
    private static let seeds: [UInt64] = {
        let first = Seeds.random()
        let isOne = ProcessInfo.processInfo.environment["CKPT_TEST_SEED"] != nil
        return (0..<(isOne ? 1 : rankRuns)).map { first &+ UInt64($0) }
    }()

    /// Directories of one file system that several machines share, one for each of them:
    /// `Tools/network-mount`. Empty if all ranks use the disk of this machine.
    private static let mounts =
        ProcessInfo.processInfo.environment["CKPT_RANK_MOUNTS"]?.split(separator: ":").map(
            String.init) ?? []

    /// A place in a bucket of the object store that `Tools/object-store` has started. Nil if there is
    /// none: then the ranks share files.
    private static let bucket =
        ProcessInfo.processInfo.environment["CKPT_TEST_S3"] == nil
        ? nil : "s3://tests/ranks-\(UUID().uuidString.lowercased())"

    /// A run that a seed chooses.
    private struct Scenario {
        var worldSize: Int
        /// All ranks publish at once.
        var isEager: Bool
        var faults: [RankProcesses.Fault]
        /// Number of ranks that go on afterwards; nil if none do.
        var nextWorldSize: Int?

        /// Time that a rank waits for the others, in milliseconds.
        static let timeout = mounts.isEmpty && bucket == nil ? 700 : 3000
        private static let operations = 150

        init(_ seed: UInt64) {
            var random = SeededGenerator(seed)
            worldSize = random.below(8) == 0 ? 2 + random.below(2) : 4
            isEager = random.below(10) < 3
            var victims = Array(0..<worldSize).shuffled(using: &random)
            // The publisher, unless all publish.
            if random.below(3) == 0 { victims = [0] + victims.filter { $0 != 0 } }
            faults = victims.prefix(random.below(5) == 0 ? 2 : 1).map { victim in
                let operation = random.below(Self.operations)
                switch random.below(10) {
                case 0..<5: return .init(rank: victim, signal: SIGKILL, operation: operation)
                case 5: return .init(rank: victim, signal: SIGSTOP, operation: operation)
                case 6..<8:
                    let pause = Double.random(in: 0.02...0.5, using: &random)
                    return .init(
                        rank: victim, signal: SIGSTOP, operation: operation, pause: pause)
                default:
                    // The others try the step again meanwhile.
                    let pause = Double.random(in: 1.15...1.85, using: &random)
                        * Double(Self.timeout) / 1000
                    return .init(
                        rank: victim, signal: SIGSTOP, operation: operation, pause: pause)
                }
            }
            nextWorldSize = random.below(4) == 0 ? 1 + random.below(4) : nil
        }
    }

    @Test(
        "A reader sees the old or the new checkpoint, and no rank hangs",
        arguments: RankProcessTests.seeds)
    func anyFault(_ seed: UInt64) throws {
        let scenario = Scenario(seed)
        let directory = try TemporaryDirectory()
        let places = Self.bucket.map { [$0] } ?? Self.mounts
        let stores =
            places.isEmpty ? [directory.appending("store")] : places.map { "\($0)/run-\(seed)" }
        // What cannot be removed goes with the mount.
        defer { try? FileManager.default.removeItem(atPath: stores[0]) }
        let store = stores[stores.count - 1]
        let program = try Program("RankProgram")
        let first = RankProcesses(program, in: directory)
        try first.start(
            store: stores, launch: "first", worldSize: scenario.worldSize, steps: 3,
            timeout: Scenario.timeout, isEager: scenario.isEager, faults: scenario.faults)
        let late = first.finish(scenario.faults, within: 90)
        let comment: Comment = "\(scenario) \(first.outputs)"
        guard Self.canBeJudged(stores, seed) else { return }
        #expect(late.isEmpty, comment)
        for output in first.outputs {
            #expect(!output.contains("Fatal error") && !output.contains("mixed"), comment)
        }
        // No rank is told of two commits of one step.
        #expect(first.committed.values.allSatisfy { $0.count == 1 }, comment)
        let before = try content(of: store, comment)
        try checkCommitted(first.committed, in: before, comment)
        // Nothing is collected in a bucket, where any machine may be saving.
        if Self.bucket == nil {
            try collect(store, comment)
            #expect(try content(of: store, comment) == before, comment)
        }
        guard let worldSize = scenario.nextWorldSize else { return }
        let second = RankProcesses(program, in: directory)
        try second.start(
            store: stores, launch: "second", worldSize: worldSize, steps: 1, timeout: 60_000,
            isEager: false, faults: [])
        let lateAgain = second.finish([], within: 90)
        guard Self.canBeJudged(stores, seed) else { return }
        #expect(lateAgain.isEmpty, "\(comment) \(second.outputs)")
        #expect(second.haveSucceeded.allSatisfy { $0 }, "\(comment) \(second.outputs)")
        let newest = before.last
        for output in second.outputs {
            let resumed = newest.map { "resumed \($0.step) \($0.stamp)\n" }
            #expect(output.hasPrefix(resumed ?? "committed"), "\(comment) \(second.outputs)")
        }
        #expect(try content(of: store, comment).last?.step == (newest?.step ?? 0) + 1, comment)
    }

    /// Says whether the shared file system has kept its directories while ranks made them; no rank
    /// can be blamed if not.
    private static func canBeJudged(_ mounts: [String], _ seed: UInt64) -> Bool {
        guard let lost = lostDirectory(in: mounts) else { return true }
        print("seed \(seed): not judged, no mount can open \(lost), which its parent lists")
        return false
    }

    /// Finds a directory that its parent lists and that no mount can open, however long one waits.
    ///
    /// GlusterFS 10 leaves one where a client makes a directory while another one looks for its
    /// name: 13 of 300 in a program that does nothing else. No program can work below it.
    ///
    /// - Parameter mounts: One directory, as each mount shows it; one mount loses nothing.
    /// - Returns: The path on one of the mounts.
    private static func lostDirectory(in mounts: [String]) -> String? {
        let files = FileManager.default
        func isLost(_ name: String) -> Bool {
            (0..<20).allSatisfy { _ in
                let isMissing = mounts.allSatisfy { !files.fileExists(atPath: "\($0)/\(name)") }
                if isMissing { Thread.sleep(forTimeInterval: 0.2) }
                return isMissing
            }
        }
        func search(_ directory: String) -> String? {
            var names: Set<String> = []
            for mount in mounts {
                let path = directory.isEmpty ? mount : "\(mount)/\(directory)"
                names.formUnion((try? files.contentsOfDirectory(atPath: path)) ?? [])
            }
            for name in names.sorted() {
                let path = directory.isEmpty ? name : "\(directory)/\(name)"
                if isLost(path) { return "\(mounts[0])/\(path)" }
                if let lost = search(path) { return lost }
            }
            return nil
        }
        guard mounts.count > 1 else { return nil }
        let directory = (mounts[0] as NSString).lastPathComponent
        let parents = mounts.map { ($0 as NSString).deletingLastPathComponent }
        let isListed = parents.contains {
            (try? files.contentsOfDirectory(atPath: $0))?.contains(directory) == true
        }
        if isListed, mounts.allSatisfy({ !files.fileExists(atPath: $0) }) { return mounts[0] }
        return search("")
    }

    /// A checkpoint that a reader finds.
    private struct Found: Equatable {
        var id: String
        var step: Int
        var stamp: String
    }

    /// Reads all checkpoints completely, oldest first. Reading needs no recovery.
    private func content(of path: String, _ comment: Comment) throws -> [Found] {
        let store =
            if let location = S3Location(path), S3Location.isMeant(by: path) {
                try CheckpointStore.open(location)
            } else {
                try CheckpointStore.open(path)
            }
        #expect(try store.verify().findings.allSatisfy { $0.kind == .note }, comment)
        return try store.checkpoints().reversed().map { checkpoint in
            let checkpoint = try checkpoint.get()
            let state = try RankedState(rank: 0, of: 1)
            try store.restore(.id(prefix: "\(checkpoint.id)"), into: state)
            #expect(state.isWhole, "a mix at step \(checkpoint.step): \(comment)")
            #expect(state.stamp.split(separator: " ")[1] == "\(checkpoint.step)", comment)
            return Found(id: "\(checkpoint.id)", step: checkpoint.step, stamp: state.stamp)
        }
    }

    /// What a rank was told is there, unless newer checkpoints have taken its place.
    private func checkCommitted(
        _ committed: [Int: Set<String>], in found: [Found], _ comment: Comment
    ) throws {
        for (step, ids) in committed where step > (found.last?.step ?? 0) - 3 {
            #expect(found.contains { $0.step == step && ids.contains($0.id) }, comment)
        }
    }

    // MARK: Leavings

    /// Opens the store for writing before and after the leases of all saves have ended: only then,
    /// and only what no checkpoint names, may be removed.
    private func collect(_ path: String, _ comment: Comment) throws {
        let directories = StoreDirectories(root: FilePath(path))
        let (leased, parts) = (try segments(directories), try listing(directories.parts))
        let attempts = try RankAttempts(
            files: ManifestFiles(fileSystem: POSIXFileSystem(), directories: directories)
        ).list()
        try CheckpointStore.open(path, for: .writing).close()
        let kept = try segments(directories)
        for name in leased where attempts.contains(where: { $0.name.attempt == name.attempt }) {
            #expect(kept.contains(name), comment)
        }
        #expect(try listing(directories.parts) == parts, comment)
        try endLeases(directories)
        try CheckpointStore.open(path, for: .writing).close()
        let store = try CheckpointStore.open(path)
        let manifests = try store.files.names().map { try store.files.load($0).manifest }
        #expect(
            try segments(directories) == Set(manifests.flatMap { $0.segments.map(\.name) }),
            comment)
        let committed = manifests.map { manifest in
            let name = ManifestName(run: manifest.run, step: manifest.step)
            return AttemptName(checkpoint: name, attempt: manifest.id).description
        }
        #expect(try listing(directories.parts) == Set(committed), comment)
        #expect(try listing(directories.staging).isEmpty, comment)
    }

    private func listing(_ path: FilePath) throws -> Set<String> {
        Set(try POSIXFileSystem().list(path))
    }

    private func segments(_ directories: StoreDirectories) throws -> Set<SegmentName> {
        Set(try listing(directories.segments).compactMap { SegmentName($0) })
    }

    /// Makes all saves and launches older than a lease.
    private func endLeases(_ directories: StoreDirectories) throws {
        let (files, age) = (POSIXFileSystem(), RankAttempts.leaseMilliseconds + 1)
        for entry in try listing(directories.parts) {
            let directory = directories.parts.appending(entry)
            for name in try files.list(directory) {
                let path = directory.appending(name)
                if case .begun(let rank, let worldSize, let time)? = PartName(name) {
                    let old = PartName.begun(
                        rank: rank, worldSize: worldSize, milliseconds: time - age)
                    try files.replace(directory.appending(old.description), with: path)
                } else if LaunchName(entry) != nil,
                    let bytes = try files.contents(of: path, atMost: LaunchMessage.bytesMax),
                    var message = LaunchMessage(decoding: bytes)
                {
                    message.milliseconds -= age
                    try Data(message.encoded()).write(to: URL(fileURLWithPath: path.string))
                }
            }
        }
    }
}

internal import CheckpointMaintenance
import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `ckpt repack`, a real process, is killed with SIGKILL while it replaces history; every checkpoint must stay what it was, to the last
/// bit.
@Suite("Killed repacking", .timeLimit(.minutes(20)))
struct RepackKillTests {
    /// 100 and more in the long campaign, `Tools/campaign`.
    private static let kills = Int(ProcessInfo.processInfo.environment["CKPT_REPACK_KILLS"] ?? "") ?? 4

    private let directory: TemporaryDirectory
    private let tool: Program

    init() throws {
        directory = try TemporaryDirectory()
        tool = try Program("ckpt")
    }

    /// The hash of every tensor of every checkpoint, read from the blocks.
    private func contents(_ path: String) throws -> [[Hash128]] {
        let store = try CheckpointStore.open(path)
        return try store.files.names().map { name in
            let manifest = try store.files.load(name).manifest
            let reader = ContentReader(store: store, manifest: manifest)
            return try manifest.tensors.map { try reader.tensor($0).region.hash128 }
        }
    }

    @Test("killed at random moments: every checkpoint is bit-exact, and what a run has done stays done")
    func randomKills() throws {
        let (original, store) = (directory.appending("original"), directory.appending("store"))
        let more = ["--precision", "bf16", "--compression", "none"]
        let trained = try Program("ReferenceTrainer").run(
            trainerArguments(store: original, steps: 40, every: 4, more: more), in: directory)
        try #require(trained.status == 0, "\(trained.output)")
        let expected = try contents(original)
        #expect(expected.count == 10)
        let seed = Seeds.random()
        var random = SeededGenerator(seed)
        var killed = 0
        var isFinished = true
        // A run that ends before its kill is none; on a fast machine there are some.
        for _ in 0..<20 * Self.kills where killed < Self.kills {
            if isFinished {
                // Errors are ignored: the first time there is no store to remove.
                try? FileManager.default.removeItem(atPath: store)
                try FileManager.default.copyItem(atPath: original, toPath: store)
            }
            let outcome = try tool.run(
                ["repack", store], killAfter: Double.random(in: 0.02...0.8, using: &random), in: directory)
            isFinished = !outcome.wasKilled
            killed += outcome.wasKilled ? 1 : 0
            let comment: Comment = "seed \(seed), kill \(killed)"
            let findings = try CheckpointStore.open(store).verify().findings.filter { $0.kind != .note }
            #expect(findings.isEmpty, comment)
            #expect(try contents(store) == expected, comment)
        }
        #expect(killed >= Self.kills, "repacking ends before it can be killed: train more steps")
        #expect(try tool.run(["repack", store], in: directory).status == 0)
        #expect(try contents(store) == expected)
        // Nothing is left: no segment of old manifests, and no row of them in the catalog.
        #expect(try tool.run(["clean", store], in: directory).status == 0)
        #expect(try CheckpointStore.open(store).verify().findings.isEmpty, "seed \(seed)")
    }
}

import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// The trainer, a real process, is killed with SIGKILL; what it had committed must be there, to the last bit.
@Suite("Killed trainers", .timeLimit(.minutes(20)))
struct KillTests {
    /// 200 and more in the long campaign, `Tools/campaign`.
    private static let kills = Int(ProcessInfo.processInfo.environment["CKPT_KILLS"] ?? "") ?? 12

    @Test("killed at random moments: every reopening succeeds, and the newest committed checkpoint is bit-exact")
    func randomKills() throws {
        let directory = try TemporaryDirectory()
        let trainer = try Program("ReferenceTrainer")
        let (steps, every) = (40, 1)
        let twin = TrainerReport(
            try trainer.run(
                trainerArguments(store: directory.appending("twin"), steps: steps, every: every), in: directory
            ).lines)
        try #require(twin.finished != nil)
        #expect(twin.saved.count == steps)
        var seed = Seeds.random()
        var killed = 0
        // A life that ends before its kill is none; on a fast machine there are some.
        for _ in 0..<20 * Self.kills where killed < Self.kills {
            killed += try killUntilFinished(trainer, twin, &seed, limit: Self.kills - killed, steps, every, directory)
        }
        #expect(killed >= Self.kills, "the trainer ends before it can be killed: train more steps")
    }

    /// One run, killed again and again until it ends by itself or there have been enough kills.
    private func killUntilFinished(
        _ trainer: Program, _ twin: TrainerReport, _ seed: inout UInt64, limit: Int, _ steps: Int, _ every: Int,
        _ directory: TemporaryDirectory
    ) throws -> Int {
        let store = directory.appending("victim-\(seed)")
        // Errors are ignored: a store that was never made cannot be removed.
        defer { _ = try? FileManager.default.removeItem(atPath: store) }
        var random = SeededGenerator(seed)
        seed &+= 1
        var committed: Set<Int> = []
        for kill in 0... {
            let isLast = kill >= limit
            let outcome = try trainer.run(
                trainerArguments(store: store, steps: steps, every: every),
                killAfter: isLast ? nil : Double.random(in: 0.01...0.4, using: &random), in: directory)
            let report = TrainerReport(outcome.lines)
            let comment: Comment = "seed \(seed - 1), kill \(kill): \(outcome.output)"
            #expect(!outcome.lines.contains { $0.contains("failed") || $0.contains("damaged") }, comment)
            if let newest = committed.max() {
                // A process killed before it had opened the store says nothing; one that trained must have resumed.
                if !report.saved.isEmpty { #expect(report.resumed != nil, comment) }
                if let resumed = report.resumed {
                    #expect(resumed.step >= newest, comment)
                    #expect(resumed.state == twin.saved[resumed.step], comment)
                }
            }
            for (step, state) in report.saved { #expect(state == twin.saved[step], comment) }
            committed.formUnion(report.committed)
            try checkStore(store, holds: committed, comment)
            if !outcome.wasKilled {
                #expect(report.finished == twin.finished, comment)
                return kill
            }
        }
        return limit
    }

    /// Nothing acknowledged is lost, however the process died. Reading needs no recovery.
    private func checkStore(_ path: String, holds committed: Set<Int>, _ comment: Comment) throws {
        guard !committed.isEmpty else { return }
        let store = try CheckpointStore.open(path)
        let found = try store.checkpoints().map { try $0.get().step }
        #expect(Set(found).isSuperset(of: committed), comment)
    }

    @Test(
        "killed in the middle of a save and resumed: losses are those of an uninterrupted run, bit for bit",
        arguments: ["f32", "bf16"])
    func resumeIsBitExact(precision: String) throws {
        let directory = try TemporaryDirectory()
        let trainer = try Program("ReferenceTrainer")
        func train(_ name: String, _ more: [String] = []) throws -> Program.Outcome {
            let log = ["--precision", precision, "--loss-log", directory.appending(name + ".log")]
            return try trainer.run(
                trainerArguments(store: directory.appending(name), steps: 30, every: 7, more: log + more), in: directory)
        }
        let twin = try train("twin")
        #expect(twin.status == 0)
        let victim = try train("victim", ["--kill-during-save", "21"])
        #expect(victim.wasKilled && victim.status == SIGKILL, "\(victim.output)")
        let resumed = try train("victim")
        #expect(resumed.status == 0)
        #expect(TrainerReport(resumed.lines).resumed?.step == 14, "\(resumed.output)")
        #expect(TrainerReport(resumed.lines).finished == TrainerReport(twin.lines).finished)
        let losses = try lossesOf(directory.appending("victim.log"))
        #expect(losses.count == 30)
        #expect(losses == (try lossesOf(directory.appending("twin.log"))))
    }

    /// Loss bits by step; of steps trained twice, both must agree.
    private func lossesOf(_ path: String) throws -> [String: String] {
        var losses: [String: String] = [:]
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            try #require(words.count == 2)
            if let earlier = losses[words[0]] { #expect(earlier == words[1], "step \(words[0])") }
            losses[words[0]] = words[1]
        }
        return losses
    }
}

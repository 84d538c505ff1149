import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `ls` with conditions, and `log`, on the real program.
@Suite(.timeLimit(.minutes(20))) struct FindingTests {
    /// A store of two runs, the second resumed from the first.
    private func branches() throws -> Sample {
        let sample = try Sample(runName: "base")
        let trainer = try Trainer()
        var options = CheckpointerOptions()
        (options.run, options.compression, options.deduplicates) = ("branch", .none, false)
        let checkpointer = try Checkpointer(
            store: openSoon(sample.store, for: .writing), state: trainer.state(), options: options)
        try checkpointer.restore(.step(10))
        for (step, loss) in [(30, 0.75), (40, 0.125)] { try checkpointer.save(step: step, metrics: ["loss": loss, "lr": 0.1]).wait() }
        try checkpointer.close()
        return sample
    }

    @Test func aStepIsThatOfTheRunThatIsNamed() throws {
        let sample = try Sample(runName: "first: one")
        let (trainer, before) = (try Trainer(), try ckpt("inspect", sample.store, "10", "--json").json())
        var options = CheckpointerOptions()
        options.run = "second"
        let checkpointer = try Checkpointer(store: openSoon(sample.store, for: .writing), state: trainer.state(), options: options)
        try checkpointer.save(step: 10).wait()
        try checkpointer.close()
        func id(_ reference: String) throws -> String? { try ckpt("inspect", sample.store, reference, "--json").json().text("id") }
        #expect(try id("10") != before.text("id") && id("second:10") == id("10"))
        for reference in ["first: one:10", "\(before.text("run")?.prefix(12) ?? ""):step-10", "\(before.text("run") ?? ""):10"] {
            #expect(try id(reference) == before.text("id"), "\(reference)")
        }
        let missing = try ckpt("inspect", sample.store, "second:20")
        #expect(missing.status == 3 && missing.errors.contains("no checkpoint matches step 20 of run second"))
    }

    private func steps(_ run: Run) throws -> [Int] { try run.json().list("checkpoints").compactMap { $0.integer("step") } }

    @Test func lsFiltersSortsAndLimits() throws {
        let sample = try branches()
        let golden = Golden(sample)
        func ls(_ arguments: String...) throws -> Run { try ckpt(["ls", sample.store] + arguments) }
        try golden.expect(ls("--where", "loss < 0.6 and step >= 20", "--sort", "loss"), "ls-where.txt")
        try golden.expect(ls("--run", "branch", "--json"), "ls-run.json")
        try golden.expect(ls("--where", "step>1000"), "ls-nothing.txt")
        try golden.expect(ls("--where", "step>1000 and and"), "ls-mistake.txt", status: 2)
        #expect(try steps(ls("--sort", "loss:desc", "--limit", "2", "--json")) == [30, 10])
        #expect(try steps(ls("--where", "lr=0.1", "--limit", "1", "--json")) == [40])
        #expect(try steps(ls("--where", "age<1h and created>2020-01-01", "--sort", "step", "--json")) == [10, 20, 30, 40])
        #expect(try steps(ls("--where", "run=base or 'no such'>1", "--json")) == [20, 10])
        #expect(try ckpt("tag", sample.store, "30", "mark").status == 0)
        #expect(try steps(ls("--where", "tag=m*", "--json")) == [30])
        let id = try #require(try ls("--json").json().list("checkpoints").first?.text("id")?.prefix(12))
        #expect(try ls("--where", "id=\(id)", "--json").json().list("checkpoints").count == 1)
        let misspelt = try ls("--where", "los<1", "--sort", "lsos")
        #expect(misspelt.errors.contains("no checkpoint has a metric los\n") && misspelt.errors.contains("metric lsos"))
        let hostile = try ls("--where", "\u{1B}[31m'\n; DROP TABLE checkpoint; --")
        #expect(hostile.status == 2 && !hostile.errors.contains("\u{1B}"))
        #expect(try ls("--where", String(repeating: "(", count: 100_000)).status == 2)
    }

    @Test func logDrawsTheLineage() throws {
        let sample = try branches()
        let golden = Golden(sample)
        try golden.expect(ckpt("log", sample.store), "log.txt")
        #expect(try ckpt("tag", sample.store, "10", "fork").status == 0)
        try golden.expect(ckpt("log", sample.store, "--graph"), "log-graph.txt")
        try golden.expect(ckpt("log", sample.store, "--json"), "log.json")
    }

    @Test func hostileNamesAreShownHarmlessly() throws {
        let sample = try Sample(runName: "run\u{1B}]0;title\u{7}\n'; DROP TABLE checkpoint; --" + String(repeating: "x", count: 1000))
        for verb in [["log", "--graph"], ["ls"], ["ls", "--sort", "run"]] {
            let run = try ckpt([verb[0], sample.store] + verb.dropFirst())
            #expect(run.status == 0 && !run.output.contains("\u{1B}") && run.output.contains("\\u{1B}]0;title"))
            #expect(run.output.split(separator: "\n").count == (verb[0] == "log" ? 2 : 3))
        }
    }
}

import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `prune` on the real program.
@Suite(.timeLimit(.minutes(20))) struct PruneTests {
    /// Steps 1 to 6 of one run; the program prunes in another process than the one that writes.
    private func history() throws -> (sample: Sample, checkpointer: Checkpointer, trainer: Trainer) {
        let sample = try Sample()
        let trainer = try Trainer()
        var options = CheckpointerOptions()
        (options.run, options.compression, options.deduplicates) = ("long", .none, true)
        let checkpointer = try Checkpointer(
            store: openSoon(sample.folder.path + "/store", for: .writing), state: trainer.state(), options: options)
        for step in 1...6 {
            checkpointer.mutate { trainer.bias.region.store(TensorBuffer.bytes(of: Float(step), count: 16)[...]) }
            try checkpointer.save(step: step, metrics: ["loss": abs(3.5 - Double(step))]).wait()
        }
        return (sample, checkpointer, trainer)
    }

    @Test func prunesBesideARunningTrainer() throws {
        let (sample, checkpointer, trainer) = try history()
        let golden = Golden(sample)
        #expect(try ckpt("tag", sample.store, "1", "start").status == 0)
        let rules = ["--keep-last", "2", "--keep-best", "loss:1", "--run", "long"]
        let before = try sample.folder.trace()
        try golden.expect(ckpt(["prune", sample.store, "--dry-run"] + rules), "prune.txt")
        #expect(try sample.folder.trace() == before)
        try golden.expect(ckpt(["prune", sample.store, "--json"] + rules), "prune.json")
        try golden.expect(ckpt(["prune", sample.store] + rules), "prune-again.txt")
        let left = try ckpt("ls", sample.store, "--json").json().list("checkpoints").compactMap { $0.integer("step") }
        #expect(left == [6, 5, 4, 1, 20, 10])
        // The trainer goes on, and what it reuses is there.
        checkpointer.mutate { trainer.cursor.value = 9 }
        try checkpointer.save(step: 7).wait()
        try checkpointer.close()
        #expect(try ckpt("verify", sample.store).status == 0)
    }

    /// People import the history of a training step by step.
    @Test func importsUnderOneNameAreOneRun() throws {
        let folder = try TemporaryDirectory()
        let store = folder.path + "/s"
        let raw = ["--format", "raw", "--dtype", "u8", "--shape", "1000", "--name", "w"]
        func imported(_ step: Int, run: String) throws {
            let content = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: 1000)
            try folder.write(content, to: "w.bin")
            let line = ["import", store, folder.path + "/w.bin", "--step", "\(step)", "--run", run]
            #expect(try ckpt(line + raw).status == 0)
        }
        func steps() throws -> [Int] {
            try ckpt("ls", store, "--json").json().list("checkpoints").compactMap { $0.integer("step") }
        }
        for step in 1...5 { try imported(step, run: "sft") }
        try imported(9, run: "other")
        // Exactly what is named goes; only the newest of the name is protected.
        #expect(try ckpt("rm", store, "sft:1").status == 0)
        #expect(try ckpt("rm", store, "sft:5").status == 7)
        #expect(try steps() == [9, 5, 4, 3, 2])
        #expect(try ckpt("prune", store, "--keep-last", "2").status == 0)
        #expect(try steps() == [9, 5, 4])
        #expect(try ckpt("prune", store, "--keep-runs", "2").status == 0)
        #expect(try steps() == [9, 5, 4])
        #expect(try ckpt("prune", store, "--keep-last", "1", "--run", "sft").status == 0)
        #expect(try steps() == [9, 5])
        #expect(try ckpt("verify", store).status == 0)
    }

    @Test func whatIsNoRuleIsUsage() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        try golden.expect(ckpt("prune", sample.store), "prune-usage.txt", status: 2)
        for arguments in [["--keep-last", "0"], ["--keep-within", "7"], ["--keep-best", "loss"], ["--keep-every", "-1"]] {
            #expect(try ckpt(["prune", sample.store] + arguments).status == 2)
        }
        try golden.expect(ckpt("prune", sample.store, "--keep-tag", "no\u{1B}[31m"), "prune-bare.txt", status: 7)
        try golden.expect(ckpt("prune", sample.store, "--keep-best", "no\u{1B}[31m:1"), "prune-unknown.txt", status: 3)
        #expect(try ckpt("prune", sample.store, "--keep-last", "1", "--run", "nobody").status == 3)
        #expect(try ckpt("prune", sample.store + "-not", "--keep-last", "1").status == 3)
        #expect(try ckpt("ls", sample.store, "--json").json().list("checkpoints").count == 2)
        #expect(try ckpt("prune", sample.store, "--keep-within", "1s", "--keep-last", "1").status == 0)
    }
}

import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `copy` on the real program.
@Suite(.timeLimit(.minutes(20))) struct CopyTests {
    @Test func copiesAndSaysWhat() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        let target = sample.folder.path + "/copy"
        #expect(try ckpt("tag", sample.store, "10", "first").status == 0)
        #expect(try ckpt("pin", sample.store, "20").status == 0)
        try golden.expect(ckpt("copy", sample.store, target, "--dry-run"), "copy-dry.txt")
        #expect(try sample.folder.names(in: "") == ["store"])
        try golden.expect(ckpt("copy", sample.store, target, "latest", "--json"), "copy.json")
        try golden.expect(ckpt("copy", sample.store, target), "copy.txt")
        try golden.expect(ckpt("copy", sample.store, target, "--dry-run", "--json"), "copy-again.json")
        #expect(try ckpt("verify", target).status == 0)
        for step in ["10", "20"] { #expect(try ckpt("diff", sample.store, step, step, "--other-store", target).status == 0) }
        #expect(try ckpt("inspect", target, "first", "--json").json().integer("step") == 10)
        #expect(try ckpt("inspect", target, "20", "--json").json().flag("pinned") == true)
        #expect(try ckpt("tag", target, "20", "first", "--force").status == 0)
        let taken = try ckpt("copy", sample.store, target)
        #expect(taken.status == 0 && taken.errors.contains("tag first was not copied"))
        // A reader written from the specification alone reads the copy.
        let python = try execute(
            URL(fileURLWithPath: "/usr/bin/python3"),
            [checkout.appendingPathComponent("Formats/reader/read_checkpoint.py").path, target, "--verify"])
        #expect(python.status == 0, "\(python)")
    }

    @Test func whatCannotBeCopied() throws {
        let sample = try Sample()
        let target = sample.folder.path + "/copy"
        #expect(try ckpt("copy", sample.store).status == 2)
        #expect(try ckpt("copy", sample.store, target, "no-such-tag").status == 3)
        #expect(try ckpt("copy", sample.store + "-not", target).status == 3)
        let place = try sample.place(of: "model.bias", step: 10)
        try sample.folder.damage(place.file, at: place.offset + 7)
        let run = try ckpt("copy", sample.store, target, "--json")
        #expect(run.status == 1)
        let outcomes = try run.json().list("checkpoints").map { [$0.integer("step").map { "\($0)" }, $0.text("outcome")] }
        #expect(outcomes == [["20", "copied"], ["10", "failed"]])
        #expect(try ckpt("verify", target).status == 0)
        let writer = try openSoon(target, for: .writing)
        #expect(try ckpt("copy", sample.store, target).status == 4)
        _ = writer.id
    }

    @Test func aKilledCopyGoesOn() throws {
        let sample = try Sample()
        let target = sample.folder.path + "/copy"
        for delay in [1, 5, 10, 20, 40] {
            let process = Process()
            process.executableURL = program
            process.arguments = ["copy", sample.store, target]
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            sleepMilliseconds(Double(delay))
            kill(process.processIdentifier, SIGKILL)
            try process.waitForEnd()
            guard FileManager.default.fileExists(atPath: target + "/store.json") else { continue }
            #expect(try ckpt("verify", target).status == 0)
        }
        #expect(try ckpt("copy", sample.store, target).status == 0)
        #expect(try ckpt("ls", target, "--json").json().list("checkpoints").count == 2)
        #expect(try ckpt("verify", target).status == 0)
    }
}

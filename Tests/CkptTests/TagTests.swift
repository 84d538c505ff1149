import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// Tags, pins and references, on the real program.
@Suite(.timeLimit(.minutes(20))) struct TagTests {
    @Test func tagsAndPinsAreMadeShownAndTakenAway() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        try golden.expect(ckpt("tag", sample.store), "tag-none.txt")
        try golden.expect(ckpt("tag", sample.store, "10", "first"), "tag.txt")
        try golden.expect(ckpt("tag", sample.store, "best:loss", "good-1", "--json"), "tag.json")
        try golden.expect(ckpt("tag", sample.store, "10", "first", "--json"), "tag-again.json")
        try golden.expect(ckpt("pin", sample.store, "first"), "pin.txt")
        try golden.expect(ckpt("pin", sample.store, "20", "--json"), "pin.json")
        try golden.expect(ckpt("unpin", sample.store, "20"), "unpin.txt")
        try golden.expect(ckpt("unpin", sample.store, "20", "--json"), "unpin.json")
        try golden.expect(ckpt("tag", sample.store), "tag-list.txt")
        try golden.expect(ckpt("tag", sample.store, "--json"), "tag-list.json")
        try golden.expect(ckpt("ls", sample.store), "ls.txt")
        try golden.expect(ckpt("ls", sample.store, "--json"), "ls.json")
        let inspected = try ckpt("inspect", sample.store, "first", "--json").json()
        #expect(inspected.texts("tags") == ["first"] && inspected.flag("pinned") == true)
        #expect(try ckpt("inspect", sample.store, "first").output.contains("tags        first (pinned)"))
        try golden.expect(ckpt("tag", sample.store, "20", "first"), "tag-taken.txt", status: 7)
        try golden.expect(ckpt("tag", sample.store, "20", "first", "--force"), "tag-moved.txt")
        try golden.expect(ckpt("tag", sample.store, "--delete", "first"), "tag-deleted.txt")
        try golden.expect(ckpt("tag", sample.store, "--delete", "good-1", "--json"), "tag-deleted.json")
        try golden.expect(ckpt("tag", sample.store, "--delete", "first"), "tag-unknown.txt", status: 3)
        #expect(try ckpt("verify", sample.store).status == 0)
        #expect(try sample.folder.names(in: "store/staging").isEmpty)
    }

    @Test(arguments: [
        "a/b", "..", "a..b", ".hidden", "-x", "latest", "1000", "step-7", "step_", "beef", "best:loss", "a b", "é", "a\nb", "",
        String(repeating: "x", count: 129), "'; DROP TABLE checkpoint; --", "\u{1B}[31m",
    ])
    func whatCannotBeATagIsUsage(_ name: String) throws {
        let run = try ckpt("tag", "/nowhere", "10", "--", name)
        #expect(run.status == 2 && !run.errors.contains("\u{1B}"))
    }

    /// Programs that copy files may leave empty directories out.
    @Test func aStoreWithoutStagingIsMarked() throws {
        let sample = try Sample()
        try FileManager.default.removeItem(atPath: sample.store + "/staging")
        #expect(try ckpt("tag", sample.store, "10", "first").status == 0)
        #expect(try ckpt("pin", sample.store, "20").status == 0)
        #expect(try sample.folder.names(in: "store/staging").isEmpty)
    }

    @Test func whatIsNearIsTold() throws {
        let sample = try Sample()
        #expect(try ckpt("inspect", sample.store, "release-1").errors.contains("there are no tags"))
        for (step, tag) in [("10", "release-1"), ("20", "release-2"), ("20", "nightly")] {
            #expect(try ckpt("tag", sample.store, step, tag).status == 0)
        }
        let tag = try ckpt("inspect", sample.store, "relaese-2")
        #expect(tag.status == 3 && tag.errors.contains("the nearest tags are release-2, release-1, nightly"))
        let metric = try ckpt("inspect", sample.store, "best:los")
        #expect(metric.status == 3 && metric.errors.contains("the metrics are loss"))
        #expect(try ckpt("inspect", sample.store, "11").errors.contains("the nearest steps are 10, 20"))
        // Steps of other runs are not what was meant.
        try sample.forge { $0.runName = "other" }
        #expect(try ckpt("inspect", sample.store, "sample:11").errors.contains("the nearest steps are 10, 20."))
        #expect(try ckpt("inspect", sample.store, "smaple:11").errors.contains("the runs are sample, other"))
        let id = try #require(try ckpt("inspect", sample.store, "10", "--json").json().text("id"))
        let near = String(id.prefix(8)) + String(repeating: id.hasSuffix("0") ? "1" : "0", count: 24)
        #expect(try ckpt("inspect", sample.store, near).errors.contains("the nearest ids are \(id.prefix(12))"))
    }

    @Test func everyVerbTakesEveryReference() throws {
        let sample = try Sample()
        #expect(try ckpt("tag", sample.store, "step_000010", "first").status == 0)
        let id = try #require(try ckpt("inspect", sample.store, "first", "--json").json().text("id"))
        for reference in ["10", "step-10", "first", String(id.prefix(12)), "best:loss:max"] {
            #expect(try ckpt("inspect", sample.store, reference, "--json").json().integer("step") == 10)
            #expect(try ckpt("diff", sample.store, "10", reference).status == 0)
            #expect(try ckpt("verify", sample.store, reference).status == 0)
            let out = "\(sample.folder.path)/\(reference.replacingOccurrences(of: ":", with: "-"))"
            #expect(try ckpt("restore", sample.store, reference, "-o", out).status == 0)
            #expect(try ckpt("export", sample.store, reference, "-o", out + ".safetensors").status == 0)
        }
        for reference in ["best:loss", "best:loss:min", "latest"] {
            #expect(try ckpt("inspect", sample.store, reference, "--json").json().integer("step") == 20)
        }
    }

    @Test func aDamagedTagIsToldAndCanBeSetAnew() throws {
        let sample = try Sample()
        #expect(try ckpt("tag", sample.store, "10", "first").status == 0)
        try sample.folder.damage("store/tags/first", at: 40)
        for arguments in [["tag", sample.store], ["inspect", sample.store, "first"], ["tag", sample.store, "10", "first"]] {
            let run = try ckpt(arguments)
            #expect(run.status == 1 && run.errors.contains("tags/first"))
        }
        #expect(try ckpt("ls", sample.store).status == 0)
        let verify = try ckpt("verify", sample.store)
        #expect(verify.status == 1 && verify.output.contains("tags/first") && verify.output.contains("ckpt tag --force"))
        #expect(try ckpt("tag", sample.store, "20", "first", "--force").status == 0)
        #expect(try ckpt("inspect", sample.store, "first", "--json").json().integer("step") == 20)
    }

    @Test func aTagWhoseCheckpointIsGoneSaysSo() throws {
        let sample = try Sample()
        #expect(try ckpt("tag", sample.store, "10", "first").status == 0)
        let names = try sample.folder.names(in: "store/manifests")
        try FileManager.default.removeItem(atPath: "\(sample.store)/manifests/\(names[0])")
        let run = try ckpt("inspect", sample.store, "first")
        #expect(run.status == 3 && run.errors.contains("which was deleted"))
        #expect(try ckpt("tag", sample.store, "--json").json().list("tags").first?.flag("dangling") == true)
    }

    @Test func markingNeedsNoStoppedTrainer() throws {
        let sample = try Sample()
        let writer = try openSoon(sample.store, for: .writing)
        #expect(try ckpt("tag", sample.store, "10", "first").status == 0)
        #expect(try ckpt("pin", sample.store, "20").status == 0)
        #expect(try writer.tags().map(\.tag.description) == ["first"])
        let maintainer = try openSoon(sample.store, for: .maintaining)
        #expect(try ckpt("unpin", sample.store, "20").status == 4)
        _ = maintainer.id
    }
}

internal import CheckpointCodecs
import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// What each verb prints and how it ends, on stores that are in order.
@Suite(.timeLimit(.minutes(20))) struct VerbTests {
    static let first = checkout.appendingPathComponent("Formats/vectors/stores/first").path

    @Test func lsShowsCheckpointsNewestFirst() throws {
        let sample = try Sample()
        let text = try ckpt("ls", sample.store)
        #expect(text.status == 0)
        let lines = text.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 3)
        #expect(lines[0].hasPrefix("STEP"))
        #expect(lines[1].hasPrefix("20 ") && lines[1].contains("loss=0.25") && lines[1].contains("sample"))
        #expect(lines[2].hasPrefix("10 "))

        let json = try ckpt("ls", sample.store, "--json", "--limit", "1").json()
        #expect(json.list("checkpoints").map { $0.integer("step") } == [20])
        let newest = try #require(json.list("checkpoints").first)
        #expect(newest.integer("tensors") == 3 && newest.integer("objects") == 2)
        #expect(newest.integer("bytes") == 2 * 16384 + 64 + 1 + 4)
        #expect(newest.object("metrics").number("loss") == 0.25)
    }

    @Test func inspectAgreesWithTheGoldenStore() throws {
        let expected = Fields(
            try JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(fileURLWithPath: Self.first + "/expected.json"))) as? [String: Any] ?? [:])
        for checkpoint in expected.list("checkpoints") {
            let step = try #require(checkpoint.integer("step"))
            let run = try ckpt("inspect", Self.first, "\(step)", "--digests", "--json")
            #expect(run.status == 0)
            expectContained(checkpoint.members, in: try run.json().members, "checkpoint")
        }
    }

    /// Every key and value of `expected` is in `found`, which may have more keys.
    private func expectContained(_ expected: Any, in found: Any?, _ path: String) {
        switch (expected, found) {
        case (let expected as [String: Any], let found as [String: Any]):
            for (key, value) in expected { expectContained(value, in: found[key], "\(path).\(key)") }
        case (let expected as [Any], let found as [Any]):
            #expect(expected.count == found.count, "\(path)")
            for (index, (a, b)) in zip(expected, found).enumerated() { expectContained(a, in: b, "\(path)[\(index)]") }
        default:
            #expect((expected as? NSObject)?.isEqual(found) == true, "\(path)")
        }
    }

    @Test func inspectSaysWhatResumingNeeds() throws {
        let sample = try Sample(compression: .zstd(level: 1))
        let text = try ckpt("inspect", sample.store)
        #expect(text.output.contains("rng present, data present, schedule MISSING"))
        #expect(text.output.contains("model.weight"))
        let json = try ckpt("inspect", sample.store, "step-10", "--tensor", "model.*", "--json").json()
        #expect(json.list("tensors").map { $0.text("name") } == ["model.weight", "model.bias"])
        #expect(json.object("completeness").object("optimizer").text("state") == "present")
        #expect(json.object("completeness").object("schedule").text("state") == "missing")
        #expect(json.element("tensors", named: "model.weight")?.texts("codecs") == ["zstd"])
        #expect(json.element("objects", named: "cursor")?.integer("value") == 0)
        #expect(json.element("tensors", named: "model.weight")?.text("digest") == nil)
    }

    @Test func verifyCallsTheGoldenStoreWhole() throws {
        let run = try ckpt("verify", Self.first)
        #expect(run.status == 0 && run.output.hasPrefix("OK: 2 checkpoints, 2 segments"))
        // What was not read is not called whole.
        let quick = try ckpt("verify", Self.first, "--quick")
        #expect(quick.status == 0 && quick.output.hasPrefix("OK (structure only): 2 checkpoints, 2 segments"))
    }

    @Test func restoreWritesWhatWasSaved() throws {
        let sample = try Sample(compression: .lz4)
        let target = sample.folder.path + "/out"
        let run = try ckpt("restore", sample.store, "20", "-o", target)
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.output.hasPrefix("restored 3 tensors"))
        let index = Fields(
            try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: target + "/index.json")))
                as? [String: Any] ?? [:])
        let inspected = try ckpt("inspect", sample.store, "20", "--digests", "--json").json()
        for tensor in index.list("tensors") {
            let name = try #require(tensor.text("name"))
            #expect(tensor.text("digest") == inspected.element("tensors", named: name)?.text("digest"))
        }
        let file = try #require(index.element("tensors", named: "model.bias")?.text("file"))
        let bias = try Data(contentsOf: URL(fileURLWithPath: target + "/" + file))
        #expect(bias == Data((0..<16).flatMap { _ in [0, 0, 0x40, 0x40] as [UInt8] }))
        #expect(index.element("objects", named: "cursor")?.integer("value") == 7)
        let rng = try #require(index.element("objects", named: "rng")?.text("file"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: target + "/" + rng)) == Data([1, 2, 3, 255]))
    }

    @Test func restoreRefusesADirectoryInUseAndTheStoreItself() throws {
        let sample = try Sample()
        let used = try ckpt("restore", sample.store, "-o", sample.folder.path)
        #expect(used.status == 7 && used.errors.contains("not an empty directory"))
        // What a killed restore leaves.
        try FileManager.default.createDirectory(
            atPath: sample.folder.appending("killed"), withIntermediateDirectories: true)
        for name in ["00000.bin", "object-00001.bin", "index.json.part"] {
            try sample.folder.write([1], to: "killed/" + name)
        }
        let killed = try ckpt("restore", sample.store, "-o", sample.folder.path + "/killed")
        #expect(killed.status == 7 && killed.errors.contains("an unfinished restore"))
        let before = try sample.folder.trace()
        let inside = try ckpt("restore", sample.store, "-o", sample.store + "/segments/x")
        #expect(inside.status == 7 && inside.errors.contains("inside the store"))
        #expect(try sample.folder.trace() == before)
    }

    @Test func diffMeasuresWhatChanged() throws {
        let sample = try Sample()
        let equal = try ckpt("diff", sample.store, "10", "10")
        #expect(equal.status == 0)
        let run = try ckpt("diff", sample.store, "10", "20", "--json")
        #expect(run.status == 1)
        let json = try run.json()
        #expect(json.flag("equal") == false)
        #expect(json.element("tensors", named: "model.weight")?.text("change") == "equal")
        let bias = try #require(json.element("tensors", named: "model.bias"))
        #expect(bias.text("change") == "content")
        let difference = bias.object("difference")
        #expect(difference.integer("changed") == 16 && difference.number("max_abs") == 2)
        #expect(difference.number("l2") == 8 && difference.number("relative_l2") == 2)
        #expect(json.integer("read_bytes") == 2 * 64 + 2)
        #expect(json.element("objects", named: "cursor")?.text("change") == "content")
        #expect(json.element("objects", named: "cursor")?.flag("json_equal") == false)
        #expect(json.element("objects", named: "rng")?.text("change") == "equal")
    }

    @Test func diffOfTwoStoresSeesFormsAndNames() throws {
        let (sample, other) = (try Sample(), try Sample(weight: "model.kernel"))
        let run = try ckpt("diff", sample.store, "20", "20", "--other-store", other.store, "--json")
        #expect(run.status == 1)
        let json = try run.json()
        #expect(json.element("tensors", named: "model.weight")?.text("change") == "removed")
        #expect(json.element("tensors", named: "model.kernel")?.text("change") == "added")
        #expect(json.integer("read_bytes") == 0)
    }

    /// An integer that JSON readers disagree about is passed on as it was written.
    @Test func anObjectBeyondSixtyFourBitsIsPassedOnAsText() throws {
        let folder = try TemporaryDirectory()
        let store = try CheckpointStore.open(folder.path + "/store", for: .writing)
        let state = CompositeState { ObjectState("rng", role: .rng, get: { [UInt64.max] }, set: { _ in }) }
        let checkpointer = try Checkpointer(store: store, state: state)
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        let json = try ckpt("inspect", folder.path + "/store", "--json").json()
        #expect(json.element("objects", named: "rng")?.text("value_text") == "[18446744073709551615]")
        #expect(try ckpt("inspect", folder.path + "/store").output.contains("[18446744073709551615]"))
    }

    /// Every key that a verb prints stands in the document.
    @Test func everyKeyIsDocumented() throws {
        let sample = try Sample()
        let page = try String(contentsOf: checkout.appendingPathComponent("Formats/cli-json.md"), encoding: .utf8)
        let runs = [
            try ckpt("ls", sample.store, "--json"), try ckpt("inspect", sample.store, "--digests", "--json"),
            try ckpt("verify", sample.store, "--json"), try ckpt("diff", sample.store, "10", "20", "--json"),
            try ckpt("restore", sample.store, "-o", sample.folder.path + "/out", "--json"),
            try ckpt("export", sample.store, "-o", sample.folder.path + "/a.safetensors", "--json"),
            try ckpt("inspect", sample.store, "--stats", "--json"), try ckpt("verify", sample.store, "--sample", "50%", "--json"),
            try ckpt("diff", sample.store, "20", sample.folder.path + "/a.safetensors", "--json"),
            try ckpt("report", sample.store, "-o", sample.folder.path + "/page.html", "--json"),
            try ckpt("repair", sample.store, "--dry-run", "--json"), try ckpt("doctor", sample.store, "--json"),
            try ckpt("import", sample.store + "2", sample.folder.path + "/a.safetensors", "--step", "1", "--json"),
        ]
        for run in runs {
            for key in keys(try run.json().members) where key != "loss" {
                #expect(page.contains("`\(key)`") || page.contains("\"\(key)\""), "\(key)")
            }
        }
    }

    private func keys(_ value: Any) -> Set<String> {
        switch value {
        case let members as [String: Any]: members.reduce(into: []) { $0.formUnion(keys($1.value).union([$1.key])) }
        case let elements as [Any]: elements.reduce(into: []) { $0.formUnion(keys($1)) }
        default: []
        }
    }

    @Test func noVerbWritesToTheStore() throws {
        let sample = try Sample()
        let before = try sample.folder.trace()
        for arguments in [["ls"], ["inspect", "--digests"], ["verify"]] {
            #expect(try ckpt([arguments[0], sample.store] + arguments.dropFirst()).status == 0)
        }
        #expect(try ckpt("diff", sample.store, "10", "20").status == 1)
        #expect(try sample.folder.trace() == before)
    }
}

import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `ckpt repair` on the real program, with real files.
@Suite(.timeLimit(.minutes(20))) struct RepairVerbTests {
    private func damaged() throws -> Sample {
        let sample = try Sample()
        let place = try sample.place(of: "model.weight", step: 10)
        try sample.folder.damage(place.file, at: place.offset + 5)
        return sample
    }

    @Test func aDamagedStoreIsPutInOrder() throws {
        let sample = try damaged()
        let golden = Golden(folder: sample.folder)
        let before = try sample.folder.trace()
        try golden.expect(ckpt("repair", sample.store, "--dry-run"), "repair-dry.txt", status: 1)
        #expect(try sample.folder.trace() == before)
        try golden.expect(ckpt("repair", sample.store), "repair.txt", status: 1)
        #expect(try ckpt("verify", sample.store).status == 0)
        #expect(try sample.folder.names(in: "store/quarantine").count == 2)
        let list = try ckpt("ls", sample.store, "--json").json().list("checkpoints")
        #expect(list.map { $0.integer("step") } == [20, 10])
        #expect(list[1].text("run_name") == "salvaged: sample")
        let rest = try ckpt("inspect", sample.store, "10", "--json").json()
        #expect(rest.list("tensors").map { $0.text("name") } == ["model.bias", "optimizer.m"])
        #expect(rest.element("objects", named: "salvage")?.object("value").texts("lost_tensors") == ["model.weight"])
        try golden.expect(ckpt("repair", sample.store), "repair-nothing.txt", status: 0)
    }

    /// A damaged byte among small tensors that share a block costs the tensor that it is in.
    @Test func oneByteCostsOneOfManySmallTensors() throws {
        let folder = try TemporaryDirectory()
        let store = folder.path + "/store"
        let tensors = TestTensors(sizes: [Int](repeating: 512, count: 100))
        tensors.fillPattern(7)
        var options = CheckpointerOptions()
        options.compression = .none
        let opened = try CheckpointStore.open(store, for: .writing)
        let checkpointer = try Checkpointer(store: opened, state: tensors, options: options)
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        let manifest = try opened.load(.step(1)).manifest
        try opened.close()
        let name = tensors.names[40]
        let record = try #require(manifest.tensors.first { $0.name == name })
        let chunk = manifest.chunks[record.shards[0].chunks.lowerBound]
        let block = manifest.blocks[chunk.block]
        #expect(manifest.chunks.count { $0.block == chunk.block } > 10, "they do not share a block")
        let segment = "store/segments/\(manifest.segments[block.segment].name)"
        try folder.damage(segment, at: block.offset + chunk.offset + 17)

        let verified = try ckpt("verify", store, "--json").json().list("findings")
        #expect(verified.map { $0.texts("tensors") } == [[name]])
        #expect(try ckpt("restore", store, "1", "-o", folder.path + "/a").status == 1)
        #expect(try ckpt("restore", store, "1", "-o", folder.path + "/b", "--tensor", tensors.names[41]).status == 0)
        let repaired = try ckpt("repair", store, "--json").json().list("losses")
        #expect(repaired.map { $0.texts("lost_tensors") } == [[name]])
        #expect(repaired.map { $0.integer("intact_tensors") } == [99])
        #expect(try ckpt("verify", store).status == 0)
        #expect(try ckpt("restore", store, "latest", "-o", folder.path + "/c").status == 0)
        #expect(try folder.bytes(of: "c/00040.bin") == tensors.bytes(of: 41))
    }

    @Test func jsonTellsTheSame() throws {
        let sample = try damaged()
        try Golden(folder: sample.folder).expect(ckpt("repair", sample.store, "--json"), "repair.json", status: 1)
    }

    @Test func aCatalogThatIsRubbishIsBuiltAgain() throws {
        let sample = try Sample()
        try sample.folder.write([UInt8](repeating: 7, count: 5000), to: "store/catalog.sqlite")
        let run = try ckpt("repair", sample.store)
        #expect(run.status == 0 && run.errors.contains("rebuilt from the manifests"))
        #expect(try ckpt("verify", sample.store).status == 0)
    }

    @Test func aStoreWithoutItsIdentityIsPutInOrder() throws {
        let sample = try damaged()
        let golden = Golden(folder: sample.folder)
        #expect(try ckpt("tag", sample.store, "10", "first").status == 0)
        try sample.folder.write(Array("{}".utf8), to: "store/store.json")
        try golden.expect(ckpt("ls", sample.store), "ls-no-identity.txt", status: 1)
        let before = try sample.folder.trace()
        try golden.expect(ckpt("repair", sample.store, "--dry-run"), "repair-identity-dry.txt", status: 1)
        #expect(try sample.folder.trace() == before)
        try golden.expect(ckpt("repair", sample.store), "repair-identity.txt", status: 1)
        try golden.expect(ckpt("verify", sample.store), "verify-tag-of-nothing.txt")
        try FileManager.default.removeItem(atPath: sample.store + "/store.json")
        let again = try ckpt("repair", sample.store, "--json")
        #expect(again.status == 0, "\(again)")
        #expect(try again.json().object("identity").integer("checkpoints") == 2 && again.json().flag("without_loss") == true)
    }

    @Test func hostileNamesArePrintedHarmlessly() throws {
        let sample = try Sample(weight: "\u{1B}[2J</script>\n")
        let place = try sample.place(of: "\u{1B}[2J</script>\n", step: 20)
        try sample.folder.damage(place.file, at: place.offset)
        let run = try ckpt("repair", sample.store)
        #expect(run.status == 1 && run.output.contains("tensor \\u{1B}[2J</script>\\u{A}") && !run.output.contains("\u{1B}"))
    }

    @Test func whatIsNoStoreIsThree() throws {
        let folder = try TemporaryDirectory()
        #expect(try ckpt("repair", folder.path).status == 3)
        #expect(try ckpt("repair", folder.path + "/no", "--dry-run").status == 3)
    }
}

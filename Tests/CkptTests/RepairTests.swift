import CheckpointTestSupport
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

import CheckpointFormat
import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// An object of JSON, spelled as it is.
struct JSONText: StateProvider {
    let name: String
    let text: String

    func describe(to inventory: inout StateInventory) {
        let bytes = Array(text.utf8)
        inventory.add(object: name, role: .config, encoding: .json, freeze: { { bytes } }, restore: { _ in })
    }
}

/// `ckpt diff` on the real program: what it reads, what it compares with, and what it prints.
@Suite(.timeLimit(.minutes(20))) struct DiffTests {
    /// Steps 1 and 2 of a state of many tensors, of which one changes, in chunks smaller than a tensor.
    private func family(in folder: TemporaryDirectory, count: Int = 100) throws -> (store: String, bytes: Int) {
        let tensors = try (0..<count).map { index in
            try TensorBuffer.of((0..<8192).map { Float($0 ^ index) }, [64, 128])
        }
        var options = CheckpointerOptions()
        (options.chunkBytes, options.arenaBytes) = (16384, 1 << 20)
        let store = try CheckpointStore.open(folder.path + "/family", for: .writing)
        let state = CompositeState(children: tensors.enumerated().map { TensorState("layer.\($0.offset)", $0.element.view) })
        let checkpointer = try Checkpointer(store: store, state: state, options: options)
        try checkpointer.save(step: 1).wait()
        checkpointer.mutate {
            tensors[3].region.store([9, 9, 9, 9])
            tensors[7].region.store(TensorBuffer.bytes(of: 1, count: 8192)[...])
        }
        try checkpointer.save(step: 2).wait()
        try checkpointer.close()
        return (folder.path + "/family", count * 32768)
    }

    @Test func whatIsSharedIsNotRead() throws {
        let folder = try TemporaryDirectory()
        let (store, bytes) = try family(in: folder)
        let json = try ckpt("diff", store, "1", "2", "--json").json()
        let read = try #require(json.integer("read_bytes"))
        #expect(read <= bytes / 20)
        // One chunk of the tensor that changed in one element, both of the other, on both sides.
        #expect(read == 2 * 3 * 16384)
        let third = try #require(json.element("tensors", named: "layer.3")).object("difference")
        #expect(third.integer("elements") == 8192 && third.integer("compared") == 4096 && third.integer("changed") == 1)
        #expect(try ckpt("diff", store, "2", "2", "--json").json().integer("read_bytes") == 0)
    }

    @Test func tensorsArePickedByName() throws {
        let folder = try TemporaryDirectory()
        let (store, _) = try family(in: folder, count: 10)
        #expect(try ckpt("diff", store, "1", "2", "--tensor", "layer.1", "--tensor", "layer.2").status == 0)
        let json = try ckpt("diff", store, "1", "2", "--tensor", "layer.[", "--tensor", "*7", "--json").json()
        #expect(json.list("tensors").map { $0.text("name") } == ["layer.7"])
        let none = try ckpt("diff", store, "1", "2", "--tensor", "nothing")
        #expect(none.status == 3 && none.errors.contains("no tensor of either checkpoint matches nothing"))
    }

    @Test func epsilonDecides() throws {
        let sample = try Sample()
        #expect(try ckpt("diff", sample.store, "10", "20", "--tensor", "*", "--epsilon", "2").status == 0)
        let below = try ckpt("diff", sample.store, "10", "20", "--tensor", "*", "--epsilon", "1.99", "--json")
        #expect(below.status == 1)
        #expect(try below.json().element("tensors", named: "model.bias")?.object("difference").integer("beyond_epsilon") == 16)
        // Objects have no distance.
        #expect(try ckpt("diff", sample.store, "10", "20", "--epsilon", "1000").status == 1)
        #expect(try ckpt("diff", sample.store, "10", "20", "--epsilon", "-1").status == 2)
        #expect(try ckpt("diff", sample.store, "10", "20", "--epsilon", "nan").status == 2)
    }

    @Test(arguments: [[], ["--max-shard-size", "20KB"]])
    func aSafetensorsFileIsTheSecondSide(_ options: [String]) throws {
        let sample = try Sample(compression: .zstd(level: 1))
        let out = sample.folder.path + (options.isEmpty ? "/a.safetensors" : "/shards")
        #expect(try ckpt(["export", sample.store, "20", "-o", out] + options).status == 0)
        let equal = try ckpt("diff", sample.store, "20", out, "--json")
        #expect(equal.status == 0, "\(equal.errors)")
        #expect(try equal.json().object("after").text("path") == out)
        // The hashes of the store say that all is equal: only the file is read.
        #expect(try equal.json().integer("read_bytes") == 2 * 16384 + 64)
        let different = try ckpt("diff", sample.store, "10", out, "--json")
        #expect(different.status == 1)
        #expect(try different.json().element("tensors", named: "model.bias")?.object("difference").number("l2") == 8)
        if !options.isEmpty {
            #expect(try ckpt("diff", sample.store, "20", out + "/model.safetensors.index.json").status == 0)
        }
    }

    @Test func aFileThatIsNotOneIsRefused() throws {
        let sample = try Sample()
        #expect(try ckpt("diff", sample.store, "20", sample.folder.path + "/missing.safetensors").status == 3)
        try sample.folder.write([1, 2, 3], to: "bad.safetensors")
        #expect(try ckpt("diff", sample.store, "20", sample.folder.path + "/bad.safetensors").status == 1)
        #expect(try ckpt("diff", sample.store, "20", "x.safetensors", "--other-store", sample.store).status == 2)
    }

    @Test func damageIsToldWithTheTensorsName() throws {
        let sample = try Sample()
        let place = try sample.place(of: "model.bias", step: 20)
        try sample.folder.damage(place.file, at: place.offset)
        let run = try ckpt("diff", sample.store, "10", "20")
        #expect(run.status == 1 && run.output.isEmpty)
        #expect(run.errors.contains("model.bias"))
    }

    /// Objects that say the same in another order of keys are equal.
    @Test func objectsAreComparedAsValues() throws {
        let folder = try TemporaryDirectory()
        let texts = [#"{"a": 1, "b": [1.0, 2]}"#, #"{"b":[1,2],"a":1.0}"#, #"{"a":2,"b":[1,2]}"#]
        for (step, text) in texts.enumerated() {
            let store = try CheckpointStore.open(folder.path + "/store", for: .writing)
            let checkpointer = try Checkpointer(store: store, state: JSONText(name: "config", text: text))
            try checkpointer.save(step: step).wait()
            try checkpointer.close()
        }
        let same = try ckpt("diff", folder.path + "/store", "0", "1", "--json")
        #expect(same.status == 0, "\(same.errors)")
        #expect(try same.json().element("objects", named: "config")?.flag("json_equal") == true)
        #expect(try ckpt("diff", folder.path + "/store", "0", "2").status == 1)
    }

    @Test func outputsAreThoseOfTheGoldenFiles() throws {
        let sample = try Sample()
        let golden = Golden(folder: sample.folder)
        try golden.expect(ckpt("diff", sample.store, "10", "20"), "diff.txt", status: 1)
        try golden.expect(ckpt("diff", sample.store, "10", "20", "--json"), "diff.json", status: 1)
        try golden.expect(ckpt("diff", sample.store, "20", "20", "--epsilon", "0.5"), "diff-equal.txt", status: 0)
        let hostile = try Sample(weight: "<b>\u{1B}[31mred\n")
        let run = try ckpt("diff", hostile.store, "20", "20", "--other-store", sample.store)
        try Golden(folder: hostile.folder).expect(run, "diff-hostile.txt", status: 1)
    }
}

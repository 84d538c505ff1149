import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Foundation
import Testing

/// `ckpt doctor` on directories of every kind.
@Suite(.timeLimit(.minutes(20))) struct DoctorTests {
    /// Makes a directory of these files, as paths with contents. Content that begins with = is that
    /// of a file of PyTorch.
    private func make(_ files: [String: String]) throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        let needsTorch = files.values.contains { $0.hasPrefix("=") }
        let torch = try needsTorch ? TorchTests.makeFiles() : folder
        for (name, text) in files {
            let url = URL(fileURLWithPath: folder.path + "/dir/" + name)
            try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            guard text.hasPrefix("=") else {
                try Data(text.utf8).write(to: url)
                continue
            }
            try Data(torch.bytes(of: String(text.dropFirst()))).write(to: url)
        }
        return folder
    }

    private func examine(_ files: [String: String], in place: String = "") throws -> Fields {
        let folder = try make(files)
        let before = try folder.trace()
        let run = try ckpt("doctor", folder.path + "/dir" + place, "--json")
        #expect(try folder.trace() == before)
        let json = try run.json()
        #expect(run.status == (json.flag("fine") == true ? 0 : 1), "\(run.errors)")
        return json
    }

    private static let weights: String = {
        let header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"
        return "\(Unicode.Scalar(UInt8(header.utf8.count)))\0\0\0\0\0\0\0\(header)x"
    }()

    // MARK: Of others

    /// A distributed checkpoint of PyTorch.
    private static let distributed = Dictionary(
        uniqueKeysWithValues: ([".metadata"] + (0..<4).map { "__\($0)_0.distcp" }).map { ($0, "=dcp/" + $0) })

    @Test func distributedCheckpointsOfPyTorch() throws {
        let whole = try examine(Self.distributed)
        let damaged = try examine([".metadata": "x", "__0_0.distcp": "x"])
        #expect(damaged.texts("problems").first?.hasPrefix("An import would fail: ") == true)
        #expect(!damaged.texts("advice").contains { $0.hasPrefix("ckpt import") })
        #expect(whole.text("kind") == "torch-dcp" && whole.flag("fine") == true)
        #expect(whole.texts("advice").contains { $0.hasPrefix("ckpt import STORE ") })
        let cut = try examine(["__0_0.distcp": "x", "__1_0.distcp": ""])
        #expect(cut.texts("problems").count == 2 && cut.texts("problems")[0].contains(".metadata"))
        #expect(try examine([".metadata": "x"]).flag("fine") == false)
    }

    @Test func deepSpeed() throws {
        let states = ["mp_rank_00_model_states.pt": "=state.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt": "x"]
        var files = ["latest": "global_step200\n", "zero_to_fp32.py": "", "global_step100/mp_rank_00_model_states.pt": "x"]
        for (name, text) in states { files["global_step200/" + name] = text }
        let whole = try examine(files)
        #expect(whole.text("kind") == "deepspeed" && whole.flag("fine") == true)
        #expect(whole.texts("advice").contains { $0.hasSuffix("global_step200/mp_rank_00_model_states.pt --step 200") })
        files["latest"] = "global_step300"
        #expect(try examine(files).texts("problems").first?.contains("names global_step300, which does not exist") == true)
        files["latest"] = "../../../../etc"
        #expect(try examine(files).flag("fine") == false)
        #expect(try examine(states).flag("fine") == true)
        #expect(try examine(["mp_rank_00_model_states.pt": "=state.pt"]).flag("fine") == false)
    }

    @Test func megatron() throws {
        let tracker = "latest_checkpointed_iteration.txt"
        let file = "iter_0001000/mp_rank_00/model_optim_rng.pt"
        let whole = try examine([tracker: "1000", file: "=state.pt"])
        #expect(whole.text("kind") == "megatron" && whole.flag("fine") == true)
        #expect(whole.texts("advice").first?.hasSuffix("iter_0001000/mp_rank_00/model_optim_rng.pt --step 1000") == true)
        let stale = try examine([tracker: "2000", "iter_0001000/x": ""]).texts("problems")
        #expect(stale.first?.contains("iter_0002000 does not exist") == true)
        #expect(try examine(["iter_0001000/x": ""]).flag("fine") == false)
        // As Megatron writes it: its arguments are an object of Python.
        let foreign = try examine([tracker: "1000", file: "=foreign.pt"])
        #expect(foreign.texts("problems").first?.contains("argparse.Namespace") == true)
        #expect(foreign.texts("advice").contains { $0.contains("--skip-objects") })
        let inside = try examine(["common.pt": "x", "metadata.json": "{}"].merging(Self.distributed) { $1 })
        #expect(inside.text("kind") == "megatron" && inside.flag("fine") == true)
        #expect(try examine(["common.pt": "x", "metadata.json": "{}", "__0_0.distcp": "x"]).flag("fine") == false)
    }

    @Test func huggingFace() throws {
        let model = try examine(["config.json": "{}", "model.safetensors": Self.weights])
        #expect(model.text("kind") == "hugging-face" && model.flag("fine") == true)
        let index = #"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#
        let half = try examine([
            "config.json": "{}", "model.safetensors.index.json": index, "model-00001-of-00002.safetensors": Self.weights,
        ])
        #expect(half.texts("problems").first?.contains("1 of 2 shards") == true)
        let pointer = try examine(["config.json": "{}", "model.safetensors": "version https://git-lfs.github.com/spec/v1"])
        #expect(pointer.texts("advice") == ["git lfs pull"])
        let trainer = ["config.json": "{}", "model.safetensors": Self.weights, "trainer_state.json": "{}", "optimizer.pt": "x"]
        let checkpoint = try examine(trainer)
        #expect(checkpoint.text("kind") == "hugging-face-trainer" && checkpoint.texts("problems").count == 2)
        let parent = try examine(["checkpoint-500/trainer_state.json": "{}", "checkpoint-1000/trainer_state.json": "{}"])
        #expect(parent.text("kind") == "hugging-face-trainer" && parent.texts("facts").first?.contains("checkpoint-1000") == true)
        #expect(try examine(["a.safetensors": Self.weights]).text("kind") == "safetensors")
    }

    @Test func lightning() throws {
        let files = try examine(["epoch=2-step=1000.ckpt": "PK", "last.ckpt": "=state.pt"])
        #expect(files.text("kind") == "lightning" && files.texts("advice").first?.contains("last.ckpt") == true)
        #expect(try examine(["epoch=2-step=1000.ckpt": ""]).flag("fine") == false)
        #expect(try examine(["version_0/hparams.yaml": "", "version_0/checkpoints/last.ckpt": "PK"]).text("kind") == "lightning")
        #expect(try examine(["hparams.yaml": "", "checkpoints/last.ckpt": "PK"]).text("kind") == "lightning")
    }

    @Test func orbax() throws {
        let one = try examine(["_CHECKPOINT_METADATA": "{}", "_METADATA": "{}", "manifest.ocdbt": "x", "d/x": ""])
        #expect(one.text("kind") == "orbax" && one.flag("fine") == true)
        let some = try examine(["1000/_CHECKPOINT_METADATA": "{}", "2000.orbax-checkpoint-tmp-7/x": ""])
        #expect(some.texts("problems").first?.contains("2000.orbax-checkpoint-tmp-7") == true)
    }

    @Test func filesAreKnownByTheirBeginning() throws {
        let kinds = [
            ("a", Self.weights, "safetensors"), ("b", "PK\u{3}\u{4}", "torch-file"), ("c.npz", "PK\u{3}\u{4}", "numpy"),
            ("d", "GGUF", "gguf"), ("e", "CKPTSEGM", "ckpt-file"), ("f", "hello", "file"), ("g", "", "file"),
        ]
        for (name, content, kind) in kinds {
            let json = try examine([name: content], in: "/" + name)
            #expect(json.text("kind") == kind, "\(name)")
            // An import of what begins like an archive, and ends there, would fail.
            #expect(json.flag("fine") == !(content.isEmpty || content.hasPrefix("PK")))
        }
        let folder = try TemporaryDirectory()
        try folder.write([0x80, 2], to: "p")
        #expect(try ckpt("doctor", folder.path + "/p", "--json").json().text("kind") == "pickle")
        try folder.write([0x93] + Array("NUMPY".utf8), to: "n")
        #expect(try ckpt("doctor", folder.path + "/n", "--json").json().text("kind") == "numpy")
        try folder.write([0x89] + Array("HDF".utf8), to: "h")
        #expect(try ckpt("doctor", folder.path + "/h", "--json").json().text("kind") == "hdf5")
    }

    // MARK: Of no one

    @Test func whatIsNothingInParticular() throws {
        let folder = try TemporaryDirectory()
        #expect(try ckpt("doctor", folder.path, "--json").json().text("kind") == "empty")
        let missing = try ckpt("doctor", folder.path + "/not", "--json")
        #expect(missing.status == 3)
        #expect(try missing.json().text("kind") == "missing")
        let device = try ckpt("doctor", "/dev/null", "--json")
        #expect(device.status == 1)
        #expect(try device.json().text("kind") == "file" && !device.json().texts("problems").isEmpty)
        #expect(try examine(["readme.txt": "hello"]).text("kind") == "directory")
        let many = try examine([
            "a/.metadata": "x", "a/__0_0.distcp": "x", "b/latest": "x", "b/global_step1/x": "", "c/x": "", "d.npy": "?",
        ])
        #expect(many.text("kind") == "collection")
        #expect(many.list("children").map { $0.text("kind") } == ["torch-dcp", "deepspeed", "file"])
        #expect(many.list("children")[2].texts("problems").first?.contains("An import would fail") == true)
        let mixed = try examine(["a/.metadata": "x", "a/__0_0.distcp": "x", "w.safetensors": Self.weights])
        #expect(mixed.list("children").map { $0.text("kind") } == ["torch-dcp", "safetensors"])
        let dirs = Dictionary(uniqueKeysWithValues: (0..<101).map { ("d\($0)/x", "") })
        #expect(try examine(dirs).texts("facts").contains { $0.contains("100 directories") })
    }

    @Test func whatAKilledCommandLeftIsNamed() throws {
        let exports = try examine([".ckpt-0123": Self.weights, "b.safetensors": Self.weights, "c/.metadata": "x"])
        #expect(exports.list("children").compactMap { $0.text("name") } == ["b.safetensors", "c"])
        #expect(exports.texts("facts").contains { $0.contains("1 unfinished output, such as .ckpt-0123") })
        #expect(exports.texts("advice").contains { $0.hasSuffix("/dir/.ckpt-*") })
        let restored = try examine(["00000.bin": "x"])
        #expect(restored.texts("problems").first?.contains("no index.json") == true)
        #expect(try examine(["00000.bin": "x", "index.json": "{}"]).flag("fine") == true)
    }

    @Test func aHugeDirectoryIsNotListedWhole() throws {
        let folder = try TemporaryDirectory()
        for index in 0..<30_000 { try #require(FileManager.default.createFile(atPath: "\(folder.path)/\(index)", contents: nil)) }
        let json = try ckpt("doctor", folder.path, "--json").json()
        #expect(json.text("kind") == "directory")
        // It looks at no more names than these; a time would say more of the machine.
        #expect(json.texts("facts").contains { $0.contains("more than 20000 entries") })
    }

    @Test func hostileNamesArePrintedHarmlessly() throws {
        let folder = try make(["\u{1B}[2J\n<b>/.metadata": "x", "global_step1/x": "", "latest": "\u{1B}]0;\u{7}"])
        let run = try ckpt("doctor", folder.path + "/dir")
        #expect(run.status == 1 && !run.output.contains("\u{1B}"))
        let quoted = try make(["it's; rm -rf x/a.safetensors": Self.weights])
        let advice = try ckpt("doctor", quoted.path + "/dir/it's; rm -rf x", "--json").json().texts("advice")
        #expect(advice == ["ckpt import STORE '\(quoted.path)/dir/it'\\''s; rm -rf x/a.safetensors'"])
    }

    // MARK: Our own

    private func problems(_ sample: Sample) throws -> Fields { try ckpt("doctor", sample.store, "--json").json() }

    @Test func aStoreInOrder() throws {
        let sample = try Sample()
        let golden = Golden(folder: sample.folder)
        let before = try sample.folder.trace()
        try golden.expect(ckpt("doctor", sample.store), "doctor.txt", status: 0)
        try golden.expect(ckpt("doctor", sample.store, "--json"), "doctor.json", status: 0)
        #expect(try sample.folder.trace() == before)
        #expect(try ckpt("doctor", sample.folder.path, "--json").json().list("children").map { $0.text("kind") } == ["ckpt-store"])
    }

    @Test func aStoreWithSomethingWrong() throws {
        let sample = try Sample()
        try FileManager.default.removeItem(atPath: sample.store + "/catalog.sqlite")
        #expect(try problems(sample).flag("fine") == true)
        #expect(try problems(sample).texts("facts").contains { $0.contains("no catalog") })
        try sample.folder.write([1], to: "store/staging/leftover")
        #expect(try problems(sample).texts("facts").contains { $0.hasPrefix("A killed writer left 1 file (1 B) behind.") })
        #expect(try problems(sample).texts("advice").contains { $0.hasPrefix("ckpt clean ") })
        try sample.folder.write([UInt8](repeating: 1, count: 9000), to: "store/catalog.sqlite")
        #expect(try problems(sample).texts("problems").contains { $0.contains("catalog cannot be read") })
        let manifest = try #require(try sample.folder.names(in: "store/manifests").first)
        try sample.folder.damage("store/manifests/" + manifest, at: 120)
        let damaged = try problems(sample)
        #expect(damaged.texts("problems").contains { $0.hasPrefix("damage: ") })
        #expect(damaged.texts("advice").contains { $0.hasPrefix("ckpt repair ") })
        try Golden(folder: sample.folder).expect(ckpt("doctor", sample.store), "doctor-damage.txt", status: 1)
    }

    @Test func aStaleCatalogIsTold() throws {
        let sample = try Sample()
        try sample.forge { _ in }
        #expect(try problems(sample).texts("problems").first?.contains("1 checkpoint missing") == true)
    }

    @Test func storesThatCannotBeOpened() throws {
        let sample = try Sample()
        var identity = StoreIdentity(id: .random(), created: 0)
        identity.requiredFeatures = ["telepathy"]
        try Data(identity.encoded(digest: Hashing.digest)).write(to: URL(fileURLWithPath: sample.store + "/store.json"))
        #expect(try problems(sample).text("kind") == "ckpt-store-future")
        try sample.folder.write(Array("{}".utf8), to: "store/store.json")
        #expect(try problems(sample).text("kind") == "ckpt-store-damaged")
        try FileManager.default.removeItem(atPath: sample.store + "/store.json")
        #expect(try problems(sample).text("kind") == "ckpt-store-damaged")
        let folder = try TemporaryDirectory()
        for name in ["manifests", "segments", "staging"] {
            try FileManager.default.createDirectory(atPath: folder.path + "/" + name, withIntermediateDirectories: true)
        }
        // The files that creating a store makes before `store.json`, in their order.
        for name in [nil, "writer.lock", "maintenance.lock", "generation"] {
            if let name { try folder.write([], to: name) }
            let json = try ckpt("doctor", folder.path, "--json").json()
            #expect(json.text("kind") == "ckpt-store-interrupted" && json.flag("fine") == true)
        }
        let early = try TemporaryDirectory()
        for name in ["writer.lock", "probe-1", "probe-1-link"] {
            try early.write([], to: name)
            #expect(try ckpt("doctor", early.path, "--json").json().text("kind") == "ckpt-store-interrupted")
        }
        try early.write([1], to: "notes.txt")
        #expect(try ckpt("doctor", early.path, "--json").json().text("kind") != "ckpt-store-interrupted")
    }

    @Test func abandonedSavesOfSeveralRanks() throws {
        let sample = try Sample()
        let attempt = "\(String(repeating: "1", count: 32))-\(String(repeating: "0", count: 18))40-"
            + String(repeating: "2", count: 32)
        func write(_ name: PartName, _ text: String = "") throws {
            let file = URL(fileURLWithPath: "\(sample.store)/parts/\(attempt)/\(name)")
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        let now = Int(Date().timeIntervalSince1970 * 1000)
        for rank in [0, 1, 3] { try write(.begun(rank: rank, worldSize: 4, milliseconds: now - 7_200_000)) }
        try write(.part(rank: 0, worldSize: 4))
        try write(.part(rank: 3, worldSize: 4))
        try write(.failed(rank: 1), "the disk is full")
        let young = try ckpt("doctor", sample.store, "--json").json()
        let facts = young.texts("facts")
        #expect(facts.contains { $0.contains("step 40 by 4 ranks is not committed. Ranks that have not saved: 1, 2.") }, "\(facts)")
        #expect(facts.contains("Rank 1 has failed: the disk is full"), "\(facts)")
        #expect(young.texts("advice").contains { $0.contains("start the ranks again") })
        // A day later.
        try FileManager.default.removeItem(atPath: "\(sample.store)/parts/\(attempt)")
        try write(.begun(rank: 0, worldSize: 4, milliseconds: now - 25 * 3_600_000))
        let old = try ckpt("doctor", sample.store, "--json").json()
        #expect(old.texts("advice").contains { $0.hasPrefix("ckpt clean ") })
        #expect(try ckpt("clean", sample.store).status == 0)
        let clean = try ckpt("doctor", sample.store, "--json").json().texts("facts")
        #expect(!clean.contains { $0.contains("ranks") })
    }
}

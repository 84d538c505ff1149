import CheckpointTestSupport
import Foundation
import Testing

/// Files of PyTorch, made without it: `torch_files.py` pickles under its names, and numpy says what should come of it.
@Suite(.timeLimit(.minutes(20))) struct TorchTests {
    /// Makes all files, once for each test.
    static func makeFiles() throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        let script = checkout.appendingPathComponent("Tests/CkptTests/torch_files.py")
        _ = try Judge.run(try String(contentsOf: script, encoding: .utf8), folder.path)
        return folder
    }

    @Test(arguments: [
        ("state.pt", "expected", 20), ("deflated.pt", "expected", 20), ("dcp", "expected-dcp", 3), ("composed.pt", "expected-composed", 2),
        ("storages.pt", "expected-storages", 3), ("admitted.pt", "expected-admitted", 10),
        ("legacy.pt", "expected-legacy", 4), ("dcp-strided", "expected-strided", 2),
    ])
    func tensorsAreThoseThatNumpySees(_ file: String, _ expected: String, _ count: Int) throws {
        let folder = try Self.makeFiles()
        let store = folder.path + "/store"
        #expect(try ckpt("import", store, "\(folder.path)/\(expected).safetensors", "--step", "1").status == 0)
        let run = try ckpt("import", store, folder.path + "/" + file, "--step", "2", "--compression", "lz4")
        #expect(run.status == 0, "\(run.errors)")
        let diff = try ckpt("diff", store, "1", "2", "--json").json()
        #expect(diff.list("tensors").count == count)
        #expect(diff.list("tensors").allSatisfy { $0.text("change") == "equal" })
        #expect(try ckpt("verify", store).status == 0)
    }

    @Test(arguments: ["state.pt", "deflated.pt"])
    func whatIsNoTensorBecomesJSON(_ file: String) throws {
        let folder = try Self.makeFiles()
        #expect(try ckpt("import", folder.path + "/s", folder.path + "/" + file, "--step", "1").status == 0)
        let inspected = try ckpt("inspect", folder.path + "/s", "--json").json()
        let extra = try #require(inspected.element("objects", named: "extra")).object("value")
        #expect(extra.integer("epoch") == 3 && extra.text("name") == "näme" && extra.text("nan") == "nan")
        #expect(extra.text("big") == "-0x400000000000000000" && extra.object("bytes").text("bytes") == "00ff")
        #expect(extra.text("dtype") == "torch.float32" && extra.members["size"] as? [Int] == [2, 3] && extra.integer("negative") == -5)
        #expect(extra.members["model"] == nil && extra.flag("flag") == true && extra.members["none"] is NSNull)
        #expect("\(extra.members["nested"] ?? "")".count { $0 == "1" } == 1)
        let optimizer = extra.object("optimizer")
        #expect(optimizer.object("state").object("0").integer("step") == 7)
        #expect(optimizer.list("param_groups").first?.members["betas"] as? [Double] == [0.9, 0.999])
        #expect(inspected.element("tensors", named: "optimizer.state.0.exp_avg")?.text("role") == "optimizer")
    }

    /// What PyTorch admits with `weights_only=True` is read, each thing as what it is.
    @Test func whatPyTorchAdmitsIsRead() throws {
        let folder = try Self.makeFiles()
        #expect(try ckpt("import", folder.path + "/s", folder.path + "/admitted.pt").status == 0)
        let objects = try ckpt("inspect", folder.path + "/s", "--json").json()
        let extra = try #require(objects.element("objects", named: "extra")).object("value")
        #expect(extra.object("count").integer("a") == 2 && extra.object("count").integer("5") == 1)
        #expect(extra.object("default").members["k"] as? [Int] == [1] && extra.object("array").text("bytes") == "6162ff")
        #expect(extra.object("number").members["complex"] as? [Double] == [1, -2])
        #expect(extra.number("scalar") == 2.5 && extra.integer("integer") == -3)
        let rng = extra.object("rng").object("numpy")
        #expect(rng.text("dtype") == "<u4" && rng.members["shape"] as? [Int] == [3] && rng.text("bytes") == "000000000100000002000000")
        #expect((extra.object("meta").members["meta"] as? [Any])?.count == 2)
        #expect(extra.object("sparse").object("sparse").members["size"] as? [Int] == [5, 6])
        let attributes = try #require(objects.element("objects", named: "tensor_attributes")).object("value")
        #expect(attributes.object("parameter").flag("tensor_model_parallel") == true && attributes.object("tensor").text("tag") == "x")
        #expect((attributes.object("quantized").members["quantization"] as? [Any])?.first as? String == "torch.per_tensor_affine")
    }

    @Test func whatIsNoDataIsNamedOrLeftOut() throws {
        let folder = try Self.makeFiles()
        let store = folder.path + "/s"
        let refused = try ckpt("import", store, folder.path + "/foreign.pt")
        #expect(refused.status == 6 && refused.errors.contains("entry \"args\": the pickle calls argparse.Namespace, which is not data"))
        #expect(refused.errors.contains("--skip-objects") && !FileManager.default.fileExists(atPath: store))
        let run = try ckpt("import", store, folder.path + "/foreign.pt", "--skip-objects", "--json")
        #expect(run.status == 0, "\(run.errors)")
        let leftOut = try run.json().list("left_out").map { [$0.text("name"), $0.text("what")] }
        #expect(leftOut == [
            ["args", "argparse.Namespace"], ["model.extra", "_io.BytesIO"], ["list.0", "fractions.Fraction"],
            ["(a key)", "fractions.Fraction"], ["kind", "argparse.Namespace"],
            ["objects", "a NumPy array of element type \"|O8\" is not a plain value"],
        ])
        #expect(try ckpt("import", store, folder.path + "/expected-foreign.safetensors", "--step", "1").status == 0)
        let diff = try ckpt("diff", store, "0", "1", "--json").json()
        #expect(diff.list("tensors").count == 2 && diff.list("tensors").allSatisfy { $0.text("change") == "equal" })
        let recorded = try ckpt("inspect", store, "0", "--json").json().element("objects", named: "left_out")
        #expect((recorded?.members["value"] as? [Any])?.count == 6)
        let nothing = try ckpt("import", store, folder.path + "/hostile/module.pt", "--skip-objects", "--step", "2")
        #expect(nothing.status == 6 && nothing.errors.contains("calls torch.nn.modules.linear.Linear"))
        #expect(nothing.errors.contains("save a dictionary of its tensors"))
        let plain = try ckpt("import", store, folder.path + "/hostile/module.pt", "--step", "2")
        #expect(plain.errors == nothing.errors)
        let circle = try ckpt("import", store, folder.path + "/hostile/circle.pt", "--skip-objects")
        #expect(circle.status == 6 && circle.errors.contains("nothing in it can be imported"))
        let hostile = try ckpt("import", store, folder.path + "/hostile/system.pt", "--skip-objects", "--step", "2")
        #expect(hostile.status == 6 && !FileManager.default.fileExists(atPath: "/tmp/ckpt-was-here"))
        let entry = "entry \"w_extra_state\": the pickle calls _io.BytesIO, which is not data"
        let distributed = try ckpt("import", store, folder.path + "/dcp-foreign", "--step", "2")
        #expect(distributed.status == 6 && distributed.errors.contains(entry), "\(distributed.errors)")
        let diagnosis = try ckpt("doctor", folder.path + "/dcp-foreign", "--json")
        #expect(try diagnosis.status == 1 && diagnosis.json().texts("problems").contains { $0.contains(entry) })
        let rest = try ckpt("import", store, folder.path + "/dcp-foreign", "--skip-objects", "--step", "2", "--json").json()
        #expect(rest.list("tensors").count == 1 && rest.list("left_out").map { $0.text("name") } == ["w_extra_state"])
        let cut = try ckpt("import", store, folder.path + "/legacy-cut.pt", "--step", "2")
        #expect(cut.status == 1 && cut.errors.contains("the file is truncated in storage \"1\""))
    }

    /// The step that stands in the file counts, unless another is given.
    @Test func theStepIsThatOfTheFile() throws {
        let folder = try Self.makeFiles()
        for (name, step) in [("plain", 800), ("trainer", 900), ("none", 0)] {
            let file = "\(folder.path)/step-\(name).pt"
            let run = try ckpt("import", folder.path + "/s", file, "--json")
            #expect(run.status == 0, "\(run.errors)")
            #expect(try run.json().integer("step") == step, "\(name)")
            let given = try ckpt("import", folder.path + "/s", file, "--step", "7", "--json")
            #expect(try given.json().integer("step") == 7)
        }
    }

    @Test func shardsOfPyTorchAreReadByTheirIndex() throws {
        let folder = try Self.makeFiles()
        _ = try Judge.run(
            """
            import sys, json, shutil
            folder = sys.argv[1]
            from safetensors.numpy import load_file
            names = [n for n in load_file(folder + '/expected.safetensors')]
            shutil.copy(folder + '/state.pt', folder + '/pytorch_model-00001-of-00001.bin')
            index = {'metadata': {}, 'weight_map': {n: 'pytorch_model-00001-of-00001.bin' for n in names}}
            json.dump(index, open(folder + '/pytorch_model.bin.index.json', 'w'))
            """, folder.path)
        let run = try ckpt("import", folder.path + "/s", folder.path + "/pytorch_model.bin.index.json", "--step", "1", "--json")
        #expect(run.status == 0, "\(run.errors)")
        #expect(try run.json().list("tensors").count == 20 && run.json().text("format") == "pt")
    }

    @Test func valuesOfADistributedCheckpointBecomeOneObject() throws {
        let folder = try Self.makeFiles()
        let run = try ckpt("import", folder.path + "/s", folder.path + "/dcp", "--step", "1")
        #expect(run.output.contains("3 tensors (648 B) and 1 object from dcp"))
        let extra = try ckpt("inspect", folder.path + "/s", "--json").json().element("objects", named: "extra")
        #expect(extra?.object("value").integer("epoch") == 3)
    }

    /// What each file is refused for, and that refusing it is all that happens.
    @Test func hostileFilesAreRefused() throws {
        let folder = try Self.makeFiles()
        let reasons: [String: (Int32, String)] = [
            "system.pt": (6, "the pickle calls posix.system"), "eval.pt": (6, "the pickle calls builtins.eval"),
            "getattr.pt": (6, "the pickle calls __builtin__.getattr"), "inst.pt": (6, "the pickle calls os.system"),
            "instance.pt": (6, "opcode 0x53"), "object.pt": (6, "opcode 0x6f"), "extension.pt": (6, "opcode 0x82"),
            "names.pt": (6, "calls os\\u{1B}[31m.system"), "storage-call.pt": (6, "calls torch.FloatStorage"),
            "deep.pt": (6, "62 levels deep"), "circle.pt": (6, "entry \"0\": the container contains itself"),
            "jagged.pt": (6, "is made by torch.nested._internal.nested_tensor.NestedTensor, which"),
            "laughs.pt": (6, "many references to one value"),
            "empty.pt": (1, "truncated"),
            "cut.pt": (1, "the length of a value is"), "integer.pt": (1, "the length of a value is"),
            "underflow.pt": (1, "an operation needs more values than the stack has"),
            "forgotten.pt": (1, "is used, but was never stored"), "missing-storage.pt": (1, "storage \"0\" is missing"),
            "short-storage.pt": (1, "has 12 bytes"),
            "beyond.pt": (1, "does not fit in 16 bytes"), "negative-offset.pt": (1, "begins at element -1"),
            "negative-size.pt": (1, "[-1]"),
            "huge-stride.pt": (1, "does not fit in"), "huge-offset.pt": (1, "begins at"),
            "big-endian.pt": (6, "big-endian"),
            "script.pt": (6, "TorchScript"), "legacy.pt": (1, "pickle: truncated"), "nul.pt": (6, "its name contains a NUL"),
            "long.pt": (6, "1 to 4096 bytes"), "twice.pt": (6, "two tensors would have the name"),
            "keys.pt": (6, "two keys have the text"),
            "items.pt": (6, "more values than ckpt supports"), "surrogate.pt": (6, "lone surrogate"),
            "interrupted.pt": (1, "data.pkl is missing"), "dimensions.pt": (6, "33 dimensions"),
            "counter.pt": (1, "it builds a Counter from a value that is not a dictionary"),
            "module.pt": (6, "save the state_dict() of a model"),
            "dcp-values": (6, "many references to one value"), "dcp-again": (6, "1024 times"), "dcp-missing": (1, "\"none\" is missing"),
            "repeated.pt": (6, "1024 times"), "dcp-overlap": (1, "overlap"), "dcp-hole": (1, "6 of its 12"),
            "dcp-outside": (1, "storage_data has no entry for a piece"), "dcp-path": (6, "not a file next to .metadata"),
            "dcp-range": (1, "a piece ends at"),
            "dcp-exchanged": (1, "not f64"), "dcp-transformed": (6, "transformed"), "dcp-planner": (6, "calls posix.system"),
        ]
        let files = try folder.names(in: "hostile")
        #expect(Set(files) == Set(reasons.keys))
        for file in files {
            let run = try ckpt("import", folder.path + "/s", folder.path + "/hostile/" + file, "--step", "1")
            let (status, reason) = reasons[file, default: (0, "")]
            #expect(run.status == status && run.errors.contains(reason), "\(file): \(run.status) \(run.errors)")
            #expect(run.output.isEmpty && !run.errors.contains("\u{1B}"))
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/s"))
        #expect(!FileManager.default.fileExists(atPath: "/tmp/ckpt-was-here"))
    }
}

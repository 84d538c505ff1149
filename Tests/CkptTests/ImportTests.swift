import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointTestSupport
import Foundation
import Testing

/// What `ckpt import` makes of files that other programs have written.
@Suite(.timeLimit(.minutes(20))) struct ImportTests {
    @Test func everyFormatOfTheSameArraysGivesTheSameCheckpoint() throws {
        let folder = try TemporaryDirectory()
        try Judge.makeArrays(folder.path)
        var digests: [[String: String]] = []
        for file in ["a.safetensors", "a.npz", "deflated.npz", "zip64.npz"] {
            let run = try ckpt("import", folder.path + "/store-" + file, folder.path + "/" + file, "--step", "3")
            #expect(run.status == 0, "\(run.errors)")
            let tensors = try folder.inspected("store-" + file).list("tensors")
            #expect(tensors.count == 15)
            let pairs = tensors.map { ($0.text("name") ?? "", "\($0.text("digest") ?? "") \($0.members["shape"] ?? "")") }
            digests.append(Dictionary(uniqueKeysWithValues: pairs))
        }
        #expect(digests.allSatisfy { $0 == digests[0] })
        #expect(try ckpt("verify", folder.path + "/store-deflated.npz").status == 0)
        // Nothing is left of what was inflated.
        #expect(try folder.names(in: "").allSatisfy { !$0.hasPrefix(".") })
    }

    @Test func aStoreIsNotImportedButCopied() throws {
        let sample = try Sample()
        let run = try ckpt("import", sample.folder.path + "/new", sample.store)
        #expect(
            run.status == 6 && run.errors.contains("it is a store")
                && run.errors.contains("ckpt copy \(sample.store) STORE"), "\(run)")
    }

    @Test(arguments: ["none", "zstd"])
    func safetensorsComeBackByteForByte(_ compression: String) throws {
        let folder = try TemporaryDirectory()
        try Judge.makeArrays(folder.path)
        let imported = try ckpt(
            "import", folder.path + "/store", folder.path + "/a.safetensors", "--step", "3", "--compression", compression)
        #expect(imported.status == 0, "\(imported.errors)")
        let exported = try ckpt("export", folder.path + "/store", "-o", folder.path + "/b.safetensors")
        #expect(exported.status == 0, "\(exported.errors)")
        let verdict = try Judge.run(
            """
            import sys, numpy as np
            from safetensors import safe_open
            from safetensors.numpy import load_file
            a, b = load_file(sys.argv[1]), load_file(sys.argv[2])
            assert a.keys() == b.keys()
            for k in a: assert a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes(), k
            m = safe_open(sys.argv[2], 'np').metadata()
            print(m['who'], m['ckpt.step'], m['format'])
            data = lambda p: (lambda t: t[8 + int.from_bytes(t[:8], 'little'):])(open(p, 'rb').read())
            print(data(sys.argv[1]) == data(sys.argv[2]))
            """, folder.path + "/a.safetensors", folder.path + "/b.safetensors")
        #expect(verdict == "judge 3 pt\nTrue\n")
    }

    @Test func aFortranOrderedArrayIsImportedRowMajor() throws {
        let folder = try TemporaryDirectory()
        try Judge.makeArrays(folder.path)
        #expect(try ckpt("import", folder.path + "/s", folder.path + "/a.npy", folder.path + "/a.safetensors", "--step", "0").status == 0)
        let inspected = try folder.inspected("s")
        #expect(inspected.element("tensors", named: "a")?.text("digest") == inspected.element("tensors", named: "large")?.text("digest"))
    }

    @Test func rawBytesAndRolesAndMetrics() throws {
        let folder = try TemporaryDirectory()
        try folder.write((0..<24).map { UInt8($0) }, to: "x.bin")
        let run = try ckpt(
            "import", folder.path + "/s", folder.path + "/x.bin", "--step", "5", "--run", "raw", "--metric", "loss=0.25", "--format", "raw",
            "--dtype", "f32", "--shape", "2,3", "--name", "optimizer.m", "--role", "*.m=buffer", "--json")
        #expect(run.status == 0, "\(run.errors)")
        let json = try run.json()
        #expect(json.integer("step") == 5 && json.text("run_name") == "raw" && json.object("metrics").number("loss") == 0.25)
        #expect(json.text("format") == "raw" && json.element("tensors", named: "optimizer.m")?.text("role") == "buffer")
        #expect(try ckpt("restore", folder.path + "/s", "-o", folder.path + "/out").status == 0)
        #expect(try folder.bytes(of: "out/00000.bin") == (0..<24).map { UInt8($0) })
        let short = try ckpt(
            "import", folder.path + "/s", folder.path + "/x.bin", "--step", "5", "--format", "raw", "--dtype", "f32", "--shape", "7",
            "--name", "x")
        #expect(short.status == 1 && short.errors.contains("24 bytes"))
    }

    @Test func whatItPrints() throws {
        let folder = try TemporaryDirectory()
        try folder.write((0..<24).map { UInt8($0) }, to: "x.bin")
        let run = try ckpt(
            "import", folder.path + "/s", folder.path + "/x.bin", "--step", "5", "--format", "raw", "--dtype", "f32", "--shape", "2,3",
            "--name", "x\u{1B}[31m")
        let id = try #require(try folder.inspected("s").text("id")?.prefix(12))
        let written = SizeText.of(try #require(folder.inspected("s").integer("stored_bytes")))
        #expect(
            run.output == """
                imported 1 tensor (24 B) and 0 objects from raw as step 5 of run x (\(id)), \(written) written
                roles: 1 parameter tensor (change them with --role)

                """)
        #expect(run.errors.isEmpty)
        let json = try ckpt(
            "import", folder.path + "/s", folder.path + "/x.bin", "--step", "5", "--format", "raw", "--dtype", "f32", "--shape", "",
            "--name", "x", "--json")
        #expect(json.status == 1)
        try folder.write([0, 0, 128, 63], to: "x.bin")
        let scalar = try ckpt(
            "import", folder.path + "/s", folder.path + "/x.bin", "--step", "5", "--format", "raw", "--dtype", "f32", "--shape", "",
            "--name", "x\n", "--json")
        let expected = """
            "format":"raw","tensors":[{"name":"x\\u000a","type":"f32","shape":[],"role":"parameter","bytes":4}],\
            "objects":["import_source"],"left_out":[],"notes":[],"source":{"format":"raw","files":[{"path":"
            """
        #expect(scalar.output.contains(expected), "\(scalar.output)")
        #expect(scalar.output.hasSuffix("\"}]},\"earlier\":null}\n"))
    }

    @Test func theSameFilesAreTold() throws {
        let folder = try TemporaryDirectory()
        let bytes = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for name in ["a.bin", "b.bin"] { try folder.write(bytes, to: name) }
        func imported(_ name: String) throws -> Run {
            try ckpt(
                "import", folder.path + "/s", folder.path + "/" + name, "--format", "raw", "--dtype", "u8",
                "--shape", "4096", "--name", "x")
        }
        let first = try imported("a.bin")
        #expect(first.status == 0 && !first.output.contains("before"))
        let second = try imported("b.bin")
        #expect(second.status == 0)
        #expect(second.output.contains("the same files were imported before, as step 0 of run a ("), "\(second)")
        let source = try ckpt("cat", folder.path + "/s", "b:latest", "import_source").json()
        let file = try #require(source.list("files").first)
        #expect(source.text("format") == "raw" && source.list("files").count == 1)
        #expect(file.text("path") == folder.path + "/b.bin" && file.integer("bytes") == 4096)
        #expect(file.text("xxh3_128") == Hashing.digest(bytes[...]).description)
        try folder.write(bytes + [1], to: "b.bin")
        let third = try ckpt(
            "import", folder.path + "/s", folder.path + "/b.bin", "--format", "raw", "--dtype", "u8",
            "--shape", "4097", "--name", "x", "--json")
        #expect(try third.json().members["earlier"] is NSNull)
    }

    /// A step in the files counts, unless another is given; roles are guessed by name.
    @Test func stepAndRolesComeFromTheFile() throws {
        let folder = try TemporaryDirectory()
        _ = try Judge.run(
            """
            import sys, numpy, safetensors.numpy as s
            ones = numpy.ones(4, dtype=numpy.float32)
            s.save_file({
                'model.layer.weight': ones, 'bn.running_mean': ones, 'rope.inv_freq': ones,
                'h.0.attn.bias': numpy.ones((1, 1, 4, 4), dtype=numpy.uint8), 'h.0.mlp.bias': ones,
                'optimizer.state.0.exp_avg': ones, 'rng_state': numpy.ones(16, dtype=numpy.uint8),
            }, sys.argv[1], {'global_step': '1200'})
            """, folder.path + "/a.safetensors")
        let run = try ckpt("import", folder.path + "/s", folder.path + "/a.safetensors", "--json")
        #expect(run.status == 0, "\(run.errors)")
        #expect(try run.json().integer("step") == 1200)
        let roles = try Dictionary(
            uniqueKeysWithValues: run.json().list("tensors").map { ($0.text("name") ?? "", $0.text("role") ?? "") })
        #expect(
            roles == [
                "model.layer.weight": "parameter", "bn.running_mean": "buffer", "rope.inv_freq": "buffer",
                "h.0.attn.bias": "buffer", "h.0.mlp.bias": "parameter", "optimizer.state.0.exp_avg": "optimizer",
                "rng_state": "other",
            ])
        let given = try ckpt("import", folder.path + "/s", folder.path + "/a.safetensors", "--step", "3")
        #expect(given.output.contains(" as step 3 of run a"))
        #expect(
            given.output.contains(
                "roles: 2 parameter tensors, 1 optimizer tensor, 3 buffer tensors, 1 other tensor"), "\(given)")
    }

    @Test(arguments: [
        ["--step", "-1"], ["--step", "1", "--format", "tar"], ["--step", "1", "--metric", "loss=low"], ["--step", "1", "--role", "*=king"],
        ["--step", "1", "--dtype", "f32"], ["--step", "1", "--format", "raw"],
    ])
    func badUsageIsTwoAndMakesNoStore(_ options: [String]) throws {
        let folder = try TemporaryDirectory()
        #expect(try ckpt(["import", folder.path + "/s", folder.path + "/x"] + options).status == 2)
        #expect(try folder.names(in: "").isEmpty)
    }
}

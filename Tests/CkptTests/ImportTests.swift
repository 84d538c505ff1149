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
        #expect(run.output == "imported 1 tensor (24 B) and 0 objects from raw as step 5 (\(id)), 24 B written\n")
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
            "parent":null,"metrics":{},"bytes":4,"stored_bytes":4,"new_bytes":4,"format":"raw",\
            "tensors":[{"name":"x\\u000a","type":"f32","shape":[],\
            "role":"parameter","bytes":4}],"objects":[],"left_out":[],"notes":[]}

            """
        #expect(scalar.output.hasSuffix(expected), "\(scalar.output)")
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

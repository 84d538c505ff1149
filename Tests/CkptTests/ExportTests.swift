internal import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Foundation
import Testing

/// What `ckpt export` and `ckpt restore` write.
@Suite(.timeLimit(.minutes(20))) struct ExportTests {
    @Test func standardOutputGetsTheSameFile() throws {
        let sample = try Sample()
        let (file, stream) = (sample.folder.path + "/a.safetensors", sample.folder.path + "/b.safetensors")
        #expect(try ckpt("export", sample.store, "20", "-o", file, "--tensor", "model.*").status == 0)
        let run = try execute(
            URL(fileURLWithPath: "/bin/sh"),
            [
                "-c", "\"$0\" export \"$1\" 20 -o - --tensor 'model.*' > \"$2\"", program.path, sample.store,
                stream,
            ])
        #expect(run.status == 0 && run.errors.isEmpty, "\(run.errors)")
        #expect(try sample.folder.bytes(of: "a.safetensors") == sample.folder.bytes(of: "b.safetensors"))
        // What is damaged is not passed on, and the exit code says that the file is cut off.
        let place = try sample.place(of: "model.weight", step: 20)
        try sample.folder.damage(place.file, at: place.offset + 5000)
        let cut = try execute(
            URL(fileURLWithPath: "/bin/sh"),
            ["-c", "\"$0\" export \"$1\" 20 -o - > \"$2\"", program.path, sample.store, stream])
        #expect(cut.status == 1 && cut.errors.contains("model.weight"), "\(cut)")
        for option in ["--objects", "--force", "--json"] {
            #expect(try ckpt("export", sample.store, "-o", "-", option).status == 2)
        }
    }

    @Test func aNameOfAnotherFormatIsRefused() throws {
        let sample = try Sample()
        for name in ["a.pt", "a.GGUF", "dir.v1/a.bin"] {
            let run = try ckpt("export", sample.store, "-o", sample.folder.path + "/" + name)
            #expect(run.status == 2 && run.errors.contains("cannot write a ."), "\(run.errors)")
        }
        #expect(try ckpt("export", sample.store, "-o", sample.folder.path + "/llama-3.1").status == 0)
    }

    @Test func shardsAndTheirIndexLoadInTheLibrary() throws {
        let sample = try Sample(compression: .lz4)
        let out = sample.folder.path + "/out"
        let run = try ckpt("export", sample.store, "20", "-o", out, "--max-shard-size", "16KiB", "--objects", "--json")
        #expect(run.status == 0, "\(run.errors)")
        let names = [
            "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
            "model.safetensors.index.json", "objects.json",
        ]
        #expect(try sample.folder.names(in: "out") == names)
        #expect(try run.json().list("files").compactMap { $0.text("name") }.sorted() == names)
        let verdict = try Judge.run(
            """
            import sys, json, numpy as np
            from safetensors.numpy import load_file
            index = json.load(open(sys.argv[1] + '/model.safetensors.index.json'))
            whole = {}
            for name, file in index['weight_map'].items():
                whole[name] = load_file(sys.argv[1] + '/' + file)[name]
            assert sum(t.nbytes for t in whole.values()) == index['metadata']['total_size']
            assert (whole['model.weight'].ravel() == np.arange(4096, dtype='f4') / 8).all() and whole['model.weight'].shape == (64, 64)
            assert (whole['model.bias'] == 3).all() and (whole['optimizer.m'] == 0).all()
            objects = {o['name']: o for o in json.load(open(sys.argv[1] + '/objects.json'))['objects']}
            print(sorted(whole), objects['cursor']['value'], objects['rng']['base64'])
            """, out)
        #expect(verdict == "['model.bias', 'model.weight', 'optimizer.m'] 7 AQID/w==\n")
    }

    @Test func anExportIsImportedAgainWithoutADifference() throws {
        let sample = try Sample()
        let again = sample.folder.path + "/again"
        for (out, options) in [("out", []), ("out.safetensors", []), ("out", ["--force"])] {
            let path = sample.folder.path + "/" + out
            #expect(try ckpt(["export", sample.store, "20", "-o", path, "--max-shard-size", "20KB"] + options).status == 0)
            #expect(try ckpt("import", again, path, "--step", "1").status == 0)
            let diff = try ckpt("diff", sample.store, "20", "latest", "--other-store", again, "--json").json()
            #expect(diff.list("tensors").count == 3 && diff.list("tensors").allSatisfy { $0.text("change") == "equal" })
        }
    }

    @Test func someTensorsUnderOtherNames() throws {
        let sample = try Sample()
        let (out, map) = (sample.folder.path + "/x.safetensors", sample.folder.path + "/names.json")
        try sample.folder.write(Array("{\"model.bias\": \"b\"}".utf8), to: "names.json")
        let run = try ckpt(
            "export", sample.store, "-o", out, "--tensor", "model.*", "--rename", "model.=net.", "--names", map, "--json")
        #expect(run.status == 0, "\(run.errors)")
        #expect(try run.json().list("tensors").compactMap { $0.text("exported_name") } == ["net.weight", "b"])
        let clash = try ckpt("export", sample.store, "-o", out + "2", "--rename", "model.weight=a", "--rename", "model.bias=a")
        #expect(clash.status == 7 && clash.errors.contains("would both have the name a"))
        #expect(try sample.folder.names(in: "") == ["names.json", "store", "x.safetensors"])
    }

    @Test func whatIsThereIsKeptUnlessForced() throws {
        let sample = try Sample()
        let (file, directory) = (sample.folder.path + "/x.safetensors", sample.folder.path + "/mine")
        try sample.folder.write([1], to: "x.safetensors")
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try sample.folder.write([1], to: "mine/thesis.tex")
        #expect(try ckpt("export", sample.store, "-o", file).errors.contains("already exists"))
        #expect(try ckpt("export", sample.store, "-o", directory).status == 7)
        #expect(try ckpt("export", sample.store, "-o", directory + "/thesis.tex", "--force").errors.contains("is not a directory"))
        let foreign = try ckpt("export", sample.store, "-o", directory, "--force")
        #expect(foreign.status == 7 && foreign.errors.contains("thesis.tex"))
        #expect(try sample.folder.bytes(of: "x.safetensors") == [1])
        #expect(try sample.folder.names(in: "mine") == ["thesis.tex"])
        #expect(try ckpt("export", sample.store, "-o", file, "--force").status == 0)
        #expect(try sample.folder.bytes(of: "x.safetensors").count > 32_768)
        #expect(try ckpt("export", sample.store, "-o", sample.store + "/x").errors.contains("inside the store"))
        #expect(try sample.folder.names(in: "") == ["mine", "store", "x.safetensors"])
    }

    @Test func whatAKilledExportLeftIsRemovedByTheNext() throws {
        let sample = try Sample()
        func name(_ digit: Character) -> String { ".ckpt-" + String(repeating: digit, count: 32) }
        try sample.folder.write([1], to: name("a"))
        try FileManager.default.createDirectory(atPath: sample.folder.appending(name("b")), withIntermediateDirectories: true)
        try sample.folder.write([1], to: name("b") + "/model-00001-of-00002.safetensors")
        // Of an export that is still running, of a replacement that a crash has cut in two, and of somebody else.
        for other in [name("c"), name("d") + "-old", ".ckpt-notes"] { try sample.folder.write([1], to: other) }
        let inUse = unsafe open(sample.folder.path + "/" + name("c"), O_RDONLY | O_CLOEXEC)
        try #require(inUse >= 0 && flock(inUse, LOCK_EX | LOCK_NB) == 0)
        defer { close(inUse) }
        #expect(try ckpt("export", sample.store, "-o", sample.folder.path + "/out.safetensors").status == 0)
        let left = try sample.folder.names(in: "").filter { $0.hasPrefix(".ckpt-") }.sorted()
        #expect(left == [name("c"), name("d") + "-old", ".ckpt-notes"].sorted())
    }

    @Test(arguments: ["export", "restore"])
    func aDirectoryThatIsMissingIsNamed(_ verb: String) throws {
        let sample = try Sample()
        let out = sample.folder.path + "/no/such/out"
        let run = try ckpt(verb, sample.store, "-o", out)
        let parent = sample.folder.path + "/no/such"
        let message = "the directory \(parent) does not exist. Create it"
        #expect(run.status == 7 && run.errors.contains(message), "\(run)")
        #expect(try sample.folder.names(in: "") == ["store"])
    }

    @Test func anExportOfNoTensorsIsImportedAgain() throws {
        let folder = try TemporaryDirectory()
        try folder.write(Array("{\"metadata\":{\"total_size\":0},\"weight_map\":{}}".utf8), to: "none.index.json")
        let (store, out) = (folder.path + "/s", folder.path + "/out")
        for (verb, arguments) in [
            ("import", [store, folder.path + "/none.index.json", "--step", "1"]), ("export", [store, "-o", out]),
            ("import", [store, out, "--step", "2"]),
        ] {
            let run = try ckpt([verb] + arguments)
            #expect(run.status == 0 && run.output.contains("0 tensors"), "\(verb): \(run.errors)")
        }
        try folder.write(Array("{\"metadata\":{\"total_size\":4},\"weight_map\":{}}".utf8), to: "none.index.json")
        #expect(try ckpt("import", store, folder.path + "/none.index.json", "--step", "3").errors.contains("names no tensors"))
    }

    /// The library multiplies extents until they overflow, also where one of them is 0.
    @Test func aShapeThatTheLibraryRefusesIsNotWritten() throws {
        let folder = try TemporaryDirectory()
        try folder.write([], to: "x.bin")
        let raw = ["--format", "raw", "--dtype", "f32", "--shape", "4611686018427387904,4,0", "--name", "x"]
        #expect(try ckpt(["import", folder.path + "/s", folder.path + "/x.bin", "--step", "1"] + raw).status == 0)
        for out in ["out", "out.safetensors"] {
            let run = try ckpt("export", folder.path + "/s", "-o", folder.path + "/" + out)
            #expect(run.status == 6 && run.errors.contains("overflows"), "\(run.errors)")
        }
        #expect(try folder.names(in: "") == ["s", "x.bin"])
    }

    /// What a link leads to is not replaced, nor the link.
    @Test func aLinkIsNotReplaced() throws {
        let sample = try Sample()
        let path = sample.folder.path
        for out in ["old", "old.safetensors"] { #expect(try ckpt("export", sample.store, "-o", path + "/" + out).status == 0) }
        let links = [("link", "old"), ("link.safetensors", "old.safetensors"), ("none", "nowhere"), ("none.safetensors", "nowhere")]
        for (link, target) in links {
            try FileManager.default.createSymbolicLink(atPath: path + "/" + link, withDestinationPath: target)
        }
        let before = try sample.folder.trace()
        for (link, _) in links {
            for options in [[], ["--force"]] {
                let run = try ckpt(["export", sample.store, "-o", path + "/" + link] + options)
                #expect(run.status == 7 && run.errors.contains("is a symbolic link"), "\(link): \(run.errors)")
            }
        }
        #expect(try sample.folder.trace() == before)
    }

    @Test func aDirectoryWithTheNameOfAFileIsKept() throws {
        let sample = try Sample()
        let out = sample.folder.path + "/out"
        try FileManager.default.createDirectory(atPath: out + "/objects.json", withIntermediateDirectories: true)
        try sample.folder.write([1], to: "out/objects.json/thesis.tex")
        let run = try ckpt("export", sample.store, "-o", out, "--force")
        #expect(run.status == 7 && run.errors.contains("not an exported file"), "\(run.errors)")
        #expect(try sample.folder.bytes(of: "out/objects.json/thesis.tex") == [1])
    }

    @Test(arguments: ["export", "restore"])
    func latestGoesBackToWhatIsWholeAndSaysSo(_ verb: String) throws {
        let sample = try Sample()
        let place = try sample.place(of: "model.bias", step: 20)
        try sample.folder.damage(place.file, at: place.offset)
        let out = sample.folder.path + "/out"
        let run = try ckpt(verb, sample.store, "-o", out, "--json")
        #expect(run.status == 0 && run.errors.contains("skipped a damaged checkpoint: ") && run.errors.contains("model.bias"))
        #expect(try run.json().integer("step") == 10)
        let named = try ckpt(verb, sample.store, "20", "-o", out + "2")
        #expect(named.status == 1)
        #expect(try sample.folder.names(in: "") == ["out", "store"])
    }

    @Test func restoreWritesSafetensorsToo() throws {
        let sample = try Sample()
        for out in ["a.safetensors", "a"] {
            let path = sample.folder.path + "/" + out
            let run = try ckpt("restore", sample.store, "20", "-o", path, "--format", "safetensors", "--tensor", "model.*")
            #expect(run.status == 0 && run.output.hasPrefix("restored 2 tensors (16.1 KiB) of step 20"))
        }
        #expect(try sample.folder.names(in: "a") == ["model-00001-of-00001.safetensors", "model.safetensors.index.json"])
    }

    @Test func whatItPrints() throws {
        let sample = try Sample()
        let id = try #require(try ckpt("inspect", sample.store, "20", "--json").json().text("id")?.prefix(12))
        let run = try ckpt("export", sample.store, "20", "-o", sample.folder.path + "/out", "--objects")
        #expect(
            run.output == "exported 3 tensors (32.1 KiB) and 2 objects of step 20 (\(id)) to \(sample.folder.path)/out: 3 files\n")
        #expect(run.errors.isEmpty)
        let before = try sample.folder.trace().filter { $0.hasPrefix("store") }
        let json = try ckpt("export", sample.store, "20", "-o", sample.folder.path + "/b.safetensors", "--tensor", "*.bias", "--json")
        let expected = """
            "format":"safetensors","tensor_bytes":64,"tensors":[{"name":"model.bias","exported_name":"model.bias","type":"f32",\
            "shape":[16],"bytes":64,"file":"b.safetensors","file_type":"F32"}],"files":[{"name":"b.safetensors","bytes":336}],"skipped":[]}

            """
        #expect(json.output.hasSuffix(expected), "\(json.output)")
        #expect(try sample.folder.trace().filter { $0.hasPrefix("store") } == before)
        #expect(try ckpt("export", sample.store, "-o", "x", "--max-shard-size", "5XB").status == 2)
    }

    /// A name from a checkpoint is data in every file, and never a path.
    @Test func hostileNamesStayInside() throws {
        let names = ["../../x", "/etc/passwd", "a\nb", "\u{1B}[31m", "'; DROP TABLE tensors; --", String(repeating: "n", count: 4096)]
        for name in names {
            let sample = try Sample(weight: name)
            for (verb, out) in [("export", "e"), ("restore", "r")] {
                let run = try ckpt(verb, sample.store, "-o", sample.folder.path + "/" + out)
                #expect(run.status == 0 && !run.output.contains("\u{1B}"), "\(run.errors)")
            }
            #expect(try sample.folder.names(in: "") == ["e", "r", "store"])
            let again = sample.folder.path + "/again"
            #expect(try ckpt("import", again, sample.folder.path + "/e", "--step", "1").status == 0)
            #expect(try ckpt("inspect", again, "--json").json().list("tensors").contains { $0.text("name") == name })
        }
    }
}

internal import CheckpointInterchange
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// Directories and files as downloads, copies and other programs leave them.
@Suite(.timeLimit(.minutes(20))) struct DownloadTests {
    private func make(_ script: String) throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        _ = try Judge.run(
            """
            import sys, os, json, gzip, zipfile, numpy as np
            from safetensors.numpy import save_file
            out = sys.argv[1] + '/'
            f = lambda v: np.full(3, v, 'f4')
            def index(name, map, **metadata):
                json.dump({'metadata': {'total_size': 1, **metadata}, 'weight_map': map}, open(out + name, 'w'))

            """ + script, folder.path)
        return folder
    }

    private func doctor(_ path: String) throws -> Fields {
        try ckpt("doctor", path, "--json").json()
    }

    @Test func whatIsInThePlaceOfWeightsIsNamed() throws {
        let folder = try make(
            """
            pointer = 'version https://git-lfs.github.com/spec/v1\\noid sha256:' + '0' * 64 + '\\nsize 4\\n'
            for n in ('lfs.pth', 'lfs.safetensors'): open(out + n, 'w').write(pointer)
            for n in ('page.npz', 'page.safetensors'): open(out + n, 'w').write('\\n<!DOCTYPE html><html>Sign in</html>')
            save_file({'a': np.ones((100, 100), 'f4')}, out + 'whole.safetensors')
            whole = open(out + 'whole.safetensors', 'rb').read()
            open(out + 'cut.safetensors', 'wb').write(whole[:20000])
            open(out + 'trailing.safetensors', 'wb').write(whole + bytes(4096))
            open(out + 'text.safetensors', 'w').write('something else altogether')
            open(out + 'pytorch_model.bin', 'w').write('{"error": "Entry not found", "status": 404}\\n')
            gzip.open(out + 'model.pth.gz', 'wb').write(whole)
            open(out + 'empty.pth', 'wb').close()
            def zip(name, **files):
                with zipfile.ZipFile(out + name, 'w') as z:
                    for n, t in files.items(): z.writestr(n.replace('__', '/'), t)
            zip('ppo.zip', **{'data': '{}', 'policy.pth': 'x', '_stable_baselines3_version': '2'})
            zip('net.keras', **{'config.json': '{}', 'model.weights.h5': 'x'})
            zip('flat.pth', **{'data.pkl': 'x', 'version': '3', 'data__0': 'x'})
            zip('other.zip', **{'readme': 'x'})
            zip('inner.zip', **{'run__model.safetensors': 'x'})
            os.mkdir(out + 'unpacked'); open(out + 'unpacked/data.pkl', 'w').write('x')
            """)
        let words: [String: (Int32, String, String)] = [
            "lfs.pth": (1, "a Git LFS pointer", "git lfs pull"),
            "lfs.safetensors": (1, "a Git LFS pointer", "git lfs pull"),
            "page.npz": (1, "a web page", "Download"),
            "page.safetensors": (1, "a web page", "Download"),
            "cut.safetensors": (1, "truncated", "again"),
            "trailing.safetensors": (1, "4096 more bytes follow the last tensor", "again"),
            "text.safetensors": (1, "it is a text that begins with \"something else altogether\"", "again"),
            "pytorch_model.bin": (1, "begins with \"{\"error\": \"Entry not found\"", "again"),
            "model.pth.gz": (1, "a gzip file", "gunzip"),
            "empty.pth": (1, "an empty file", "again"),
            "ppo.zip": (6, "Stable-Baselines3", "policy.pth"),
            "net.keras": (6, "Keras model", "safetensors"),
            "flat.pth": (6, "unpacked and zipped again", "zip -0 -r"),
            "other.zip": (6, "without a .npy array", "Unpack"),
            "inner.zip": (6, "run/model.safetensors", "unzip"),
            "unpacked": (6, "unpacked", "zip -0 -r"),
        ]
        for (name, (status, what, remedy)) in words {
            let path = folder.path + "/" + name
            let run = try ckpt("import", folder.path + "/s", path)
            #expect(
                run.status == status && run.errors.contains(what) && run.errors.contains(remedy),
                "\(name): \(run.errors)")
            let diagnosis = try doctor(path)
            #expect(diagnosis.flag("fine") == false, "\(name)")
            let text =
                ([diagnosis.text("what") ?? ""] + diagnosis.texts("problems")
                + diagnosis.texts("advice")).joined(separator: "\n")
            #expect(
                (text.contains(what) || name == "empty.pth")
                    && (text.contains(remedy) || name == "empty.pth"), "\(name): \(text)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/s"))
        #expect(try doctor(folder.path + "/whole.safetensors").flag("fine") == true)
    }

    @Test func anIndexThatIsOutOfStepIsToldAndHasARemedy() throws {
        let folder = try make(
            """
            A, B, M = 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors', 'model-mtp.safetensors'
            def case(kind, shards, map):
                os.mkdir(out + kind)
                for name, tensors in shards.items(): save_file(tensors, out + kind + '/' + name)
                index(kind + '/model.safetensors.index.json', map)
            case('omits', {A: {'a': f(1)}, B: {'b': f(2)}, M: {'mtp': f(3)}}, {'a': A, 'b': B})
            case('stale', {A: {'a': f(1)}}, {'a': A, 'b': 'model-00002-of-00004.safetensors'})
            case('twice', {A: {'a': f(1), 'x': f(7)}, B: {'b': f(2), 'x': f(8)}}, {'a': A, 'b': B, 'x': A})
            case('extra', {A: {'a': f(1), 'inv_freq': f(9)}, B: {'b': f(2)}}, {'a': A, 'b': B})
            """)
        let omits = try ckpt("import", folder.path + "/s", folder.path + "/omits")
        #expect(omits.status == 0)
        #expect(
            omits.output.contains(
                "left out: model-mtp.safetensors: a file that model.safetensors.index.json does not list"
            ))
        for (kind, what) in [
            ("stale", "is missing"), ("twice", "contains tensor \"x\""),
            ("extra", "contains tensor \"inv_freq\""),
        ] {
            let run = try ckpt("import", folder.path + "/t", folder.path + "/" + kind)
            #expect(
                run.status == 1 && run.errors.contains(what)
                    && run.errors.contains("by name"), "\(run.errors)")
            #expect(try doctor(folder.path + "/" + kind).flag("fine") == false, "\(kind)")
        }
        let index = folder.path + "/omits/model.safetensors.index.json"
        let forgotten = "a file that model.safetensors.index.json does not list"
        for path in [folder.path + "/omits", index] {
            #expect(
                try doctor(path).texts("problems") == [
                    "model-mtp.safetensors is not imported: \(forgotten)."
                ])
            let compared = try ckpt("diff", folder.path + "/s", "0", path)
            #expect(compared.status == 0 && compared.errors.contains(forgotten))
        }
        let byIndex = try ckpt("import", folder.path + "/s", index, "--json").json()
        #expect(byIndex.text("run_name") == "model")
        #expect(byIndex.list("left_out").map { $0.text("name") } == ["model-mtp.safetensors"])
        // A file that the index forgot may be named beside it.
        let all = try ckpt(
            "import", folder.path + "/s", index, folder.path + "/omits/model-mtp.safetensors", "--json")
        #expect(all.status == 0, "\(all.errors)")
        #expect(try all.json().list("left_out").isEmpty && all.json().list("tensors").count == 3)
        let missing = try doctor(folder.path + "/stale/model.safetensors.index.json")
        #expect(missing.texts("problems").contains { $0.contains("is missing") })
    }

    /// A directory's table tells of each file what an import would.
    @Test func aDirectoryTellsWhichFileIsBad() throws {
        let folder = try make(
            """
            os.mkdir(out + 'a'); save_file({'w': f(1)}, out + 'a/model.safetensors')
            save_file({'w': f(1)}, out + 'good.safetensors')
            np.save(out + 'good.npy', f(2))
            open(out + 'notes.txt', 'w').write('nothing to see here')
            open(out + 'cut.npy', 'wb').write(open(out + 'good.npy', 'rb').read()[:-1])
            open(out + 'answer.pt', 'w').write('Invalid username or password.')
            """)
        let found = try doctor(folder.path)
        let problems = found.list("children").map { ($0.text("name") ?? "", $0.texts("problems").first ?? "") }
        #expect(problems.map(\.0) == ["a", "answer.pt", "cut.npy", "good.npy", "good.safetensors"])
        #expect(problems[1].1.contains("begins with \"Invalid username or password.\""))
        #expect(problems[2].1.contains("12 bytes") && problems[3].1.isEmpty && problems[4].1.isEmpty)
        #expect(found.flag("fine") == false && found.texts("advice") == ["ckpt doctor \(folder.path)/answer.pt"])
    }

    @Test func namesThatBeginWithADotArePassedOver() throws {
        let folder = try make(
            """
            os.mkdir(out + 'm')
            save_file({'w': f(1)}, out + 'm/model.safetensors')
            for name in ('model.safetensors', 'model.safetensors.index.json'):
                open(out + 'm/._' + name, 'wb').write(bytes.fromhex('00051607') + bytes(4092))
            """)
        let run = try ckpt("import", folder.path + "/s", folder.path + "/m")
        #expect(
            run.status == 0 && run.errors.contains("2 hidden files are not imported"),
            "\(run.errors)")
        #expect(try ckpt("diff", folder.path + "/s", "0", folder.path + "/m").status == 0)
        #expect(try doctor(folder.path + "/m").flag("fine") == true)
    }

    @Test func twoPrecisionsAreAChoice() throws {
        let folder = try make(
            """
            for d in ('single', 'sharded', 'torch', 'one'): os.mkdir(out + d)
            save_file({'w': f(1)}, out + 'single/model.safetensors')
            save_file({'w': f(1).astype('f2')}, out + 'single/model.fp16.safetensors')
            for tag in ('', '.bf16'):
                file = f'model{tag}-00001-of-00001.safetensors'
                save_file({'w': f(1)}, out + 'sharded/' + file)
                index('sharded/model.safetensors.index' + tag + '.json', {'w': file})
            for d, names in (('torch', ('a.bin', 'b.bin')), ('one', ('pytorch_model.bin',))):
                for name in names: open(out + d + '/' + name, 'wb').write(b'PK\\3\\4')
            """)
        let path = folder.path
        let single = try ckpt("import", path + "/s", path + "/single")
        #expect(
            single.status == 1 && single.errors.contains("model.fp16.safetensors. Import only one"),
            "\(single.errors)")
        #expect(
            try ckpt("import", path + "/a", path + "/single/model.fp16.safetensors").status == 0)
        let sharded = try ckpt("import", path + "/s", path + "/sharded")
        #expect(
            sharded.status == 6 && sharded.errors.contains("model.safetensors.index.bf16.json"),
            "\(sharded.errors)")
        let chosen = try ckpt(
            "import", path + "/b", path + "/sharded/model.safetensors.index.bf16.json")
        #expect(chosen.status == 0, "\(chosen.errors)")
        let torch = try ckpt("import", path + "/s", path + "/torch")
        #expect(
            torch.status == 6 && torch.errors.contains("a.bin, b.bin")
                && torch.errors.contains("Name the files to import"), "\(torch.errors)")
        #expect(
            try ckpt("import", path + "/s", path + "/one").errors.contains(
                "pytorch_model.bin: zip archive"))
    }

    @Test func metadataOfManyShardsIsOneObject() throws {
        let folder = try make(
            """
            os.mkdir(out + 'm')
            for i in range(9): save_file({f'l.{i}': f(i)}, out + f'm/{i}.safetensors', {'format': 'flax', 'run': 'mine'})
            index('m/model.safetensors.index.json', {f'l.{i}': f'{i}.safetensors' for i in range(9)}, merge_version='0.0.4')
            """)
        let run = try ckpt("import", folder.path + "/s", folder.path + "/m", "--json").json()
        #expect(run.texts("objects") == ["safetensors_metadata", "safetensors_index_metadata", "import_source"])
        #expect(try ckpt("export", folder.path + "/s", "-o", folder.path + "/out").status == 0)
        let verdict = try Judge.run(
            """
            import sys, json
            from safetensors import safe_open
            out = sys.argv[1] + '/'
            m = safe_open(out + 'model-00001-of-00001.safetensors', 'np').metadata()
            print(m['format'], m['run'], m['ckpt.step'], json.load(open(out + 'model.safetensors.index.json'))['metadata'])
            """, folder.path + "/out")
        #expect(verdict == "flax mine 0 {'total_size': 108, 'merge_version': '0.0.4'}\n")
    }

    /// The parent of a store need not be writable, and a store may be reached by a link.
    @Test func whatIsCompressedIsUnpackedInsideTheStore() throws {
        let folder = try make(
            "os.mkdir(out + 'p'); np.savez_compressed(out + 'w.npz', a=np.arange(1000, dtype='f4'))"
        )
        let store = folder.path + "/p/s"
        #expect(try ckpt("import", store, folder.path + "/w.npz").status == 0)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/link", withDestinationPath: "p/s")
        for (step, place) in [("1", store), ("2", folder.path + "/link")] {
            #expect(CheckpointStore.spillDirectory(of: place) == place + "/staging")
            let run = try ckpt("import", place, folder.path + "/w.npz", "--step", step)
            #expect(run.status == 0, "\(run.errors)")
        }
        #expect(CheckpointStore.spillDirectory(of: folder.path + "/p") == folder.path + "/p")
        #expect(CheckpointStore.spillDirectory(of: folder.path + "/new") == folder.path)
        #expect(CheckpointStore.spillDirectory(of: "new") == ".")
        #expect(try folder.names(in: "p/s/staging").isEmpty)
    }
}

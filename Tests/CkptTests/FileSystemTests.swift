import CheckpointTestSupport
import CheckpointFormat
import Checkpointing
import Foundation
import Testing

@testable import ckpt

/// File systems and limits that people have: no hard links, no locks, small files, shared
/// directories, names that are no text.
@Suite(.timeLimit(.minutes(20))) struct FileSystemTests {
    private func shell(_ line: String, _ arguments: String..., environment: [String: String] = [:]) throws -> Run {
        try execute(URL(fileURLWithPath: "/bin/sh"), ["-c", line, program.path] + arguments, environment)
    }

    /// A library that makes link(2) and flock(2) fail; nil without a compiler.
    private func shim(in folder: TemporaryDirectory) throws -> String? {
        let source = """
            #define _GNU_SOURCE
            #include <errno.h>
            #include <stdlib.h>
            static int fail(const char *name) {
              const char *value = getenv(name);
              if (!value) return 0;
              errno = atoi(value);
              return -1;
            }
            #include <dlfcn.h>
            #include <stdio.h>
            int link(const char *a, const char *b) {
              if (fail("FAIL_LINK")) return -1;
              return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "link"))(a, b);
            }
            int renameat2(int d, const char *a, int e, const char *b, unsigned f) {
              if (fail("FAIL_RENAMEAT2")) return -1;
              return ((int (*)(int, const char *, int, const char *, unsigned))dlsym(RTLD_NEXT, "renameat2"))(d, a, e, b, f);
            }
            int flock(int d, int o) {
              if (fail("FAIL_FLOCK")) return -1;
              return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(d, o);
            }
            """
        try source.write(toFile: folder.path + "/shim.c", atomically: true, encoding: .utf8)
        let library = folder.path + "/shim.so"
        let built = try execute(
            URL(fileURLWithPath: "/usr/bin/env"), ["clang", "-shared", "-fPIC", "-o", library, folder.path + "/shim.c", "-ldl"])
        return built.status == 0 ? library : nil
    }

    @Test(arguments: [EPERM, ENOSYS, EOPNOTSUPP])
    func aStoreIsNotMadeWhereThereAreNoLinks(_ number: Int32) throws {
        let sample = try Sample()
        let library = try #require(try shim(in: sample.folder), "clang, which swift needs, makes it")
        let file = sample.folder.path + "/model.safetensors"
        #expect(try ckpt("export", sample.store, "-o", file).status == 0)
        let environment = ["LD_PRELOAD": library, "FAIL_LINK": "\(number)"]
        let store = sample.folder.path + "/new"
        let run = try ckpt(["import", store, file], environment: environment)
        #expect(run.status == 6 && run.errors.contains("has no hard links"), "\(run)")
        let left = try sample.folder.names(in: "new").sorted()
        #expect(left == ["writer.lock"], "nothing is half made")
        // A process that was killed while it tried leaves a probe, which is in nobody's way.
        try sample.folder.write([], to: "new/probe-1")
        #expect(try ckpt("import", store, file).status == 0)
        #expect(try !sample.folder.names(in: "new").contains("probe-1"))
    }

    /// A store that was moved to such a file system is read, and says what a save needs.
    @Test(arguments: [EPERM, ENOSYS, EOPNOTSUPP])
    func aStoreThatWasMovedWhereThereAreNoLinksIsNotChanged(_ number: Int32) throws {
        let sample = try Sample()
        let library = try #require(try shim(in: sample.folder))
        let file = sample.folder.path + "/model.safetensors"
        #expect(try ckpt("export", sample.store, "-o", file).status == 0)
        let environment = ["LD_PRELOAD": library, "FAIL_LINK": "\(number)"]
        let run = try ckpt(["import", sample.store, file, "--step", "30"], environment: environment)
        #expect(run.status == 6 && run.errors.contains("no hard links"), "\(run)")
        #expect(try sample.folder.names(in: "store/staging").isEmpty)
        #expect(try ckpt(["verify", sample.store], environment: environment).status == 0)
    }

    @Test(arguments: [true, false])
    func exportsNeedNoLinks(renames: Bool) throws {
        let sample = try Sample()
        let library = try #require(try shim(in: sample.folder))
        var environment = ["LD_PRELOAD": library, "FAIL_LINK": "\(EPERM)"]
        if !renames { environment["FAIL_RENAMEAT2"] = "\(EINVAL)" }
        let file = sample.folder.path + "/model.safetensors"
        #expect(try ckpt(["export", sample.store, "-o", file], environment: environment).status == 0)
        #expect(FileManager.default.fileExists(atPath: file))
        // What exists is not replaced.
        let again = try ckpt(["export", sample.store, "-o", file], environment: environment)
        #expect(again.status == 7)
        #expect(try ckpt(["restore", sample.store, "-o", sample.folder.path + "/out"], environment: environment).status == 0)
        #expect(try sample.folder.names(in: "out").contains("index.json"))
        #expect(try !sample.folder.names(in: "").contains { $0.hasPrefix(".ckpt-") })
    }

    @Test(arguments: [ENOSYS, EOPNOTSUPP, ENOLCK])
    func aFileSystemWithoutLocksIsNamed(_ number: Int32) throws {
        let sample = try Sample()
        let library = try #require(try shim(in: sample.folder))
        let environment = ["LD_PRELOAD": library, "FAIL_FLOCK": "\(number)"]
        let file = sample.folder.path + "/model.safetensors"
        #expect(try ckpt("export", sample.store, "-o", file).status == 0)
        let run = try ckpt(["import", sample.folder.path + "/new", file], environment: environment)
        #expect(run.status == 6 && run.errors.contains("has no locks") && run.errors.contains("flock"), "\(run)")
        for line in [["prune", "--keep-last", "1"], ["tag", "x"], ["repack"], ["repair"], ["clean"]] {
            let arguments = [line[0], sample.store] + line.dropFirst()
            let run = try ckpt(arguments, environment: environment)
            #expect(run.status == 6 && run.errors.contains("no locks"), "\(line): \(run)")
        }
        // Readers need none.
        #expect(try ckpt(["ls", sample.store], environment: environment).status == 0)
    }

    @Test func aLimitOnFileSizesIsAnError() throws {
        let sample = try Sample()
        try sample.folder.write([UInt8](repeating: 0, count: 4 << 20), to: "zeros.bin")
        let raw = "head -c 4194304 /dev/urandom > \"$1/random.bin\""
        #expect(try shell(raw, sample.folder.path).status == 0)
        // In blocks of 512 bytes: 1 MiB.
        let line = "ulimit -f 2048; exec \"$0\" import \"$1/new\" \"$1/random.bin\" --format raw --dtype u8 --shape 4194304 --name noise"
        let run = try shell(line, sample.folder.path)
        #expect(run.status == 5 && run.errors.contains("ulimit -f"), "\(run)")
        #expect(try sample.folder.names(in: "new/staging").isEmpty && sample.folder.names(in: "new/segments").isEmpty)
        #expect(try ckpt("ls", sample.folder.path + "/new").output.contains("no checkpoints"))
        // The bytes of a raw file and of an export, beyond the limit.
        #expect(try shell("ulimit -f 8; exec \"$0\" restore \"$1\" -o \"$2/out\"", sample.store, sample.folder.path).status == 5)
        for out in ["m.safetensors", "m"] {
            let run = try shell("ulimit -f 8; exec \"$0\" export \"$1\" -o \"$2/\(out)\"", sample.store, sample.folder.path)
            #expect(run.status == 5 && run.errors.contains("ulimit -f") && !run.errors.contains("restore"), "\(run)")
        }
        // A trainer goes on, and its saves fail.
        let bench = "--state small --scale 0.0005 --steps 2 --warmup 0 --compute-seconds 0.001 --compute-threads 1 --arena 8"
        let trained = try shell("ulimit -f 64; exec \"$0\" bench loop --store \"$1/bench\" \(bench)", sample.folder.path)
        #expect(trained.status == 5 && trained.errors.contains("save of step 2 failed"), "\(trained)")
        #expect(try sample.folder.names(in: "").sorted() == ["new", "random.bin", "store", "zeros.bin"])
    }

    @Test func theUmaskDecidesWhoMayRead() throws {
        let sample = try Sample()
        let line = """
            umask 002; cd "$1"; "$0" export store -o m.safetensors && "$0" import new m.safetensors && "$0" restore store -o out &&
            find new out m.safetensors -type d -printf '%m ' && echo && find new out m.safetensors -type f -printf '%m '
            """
        let run = try shell(line, sample.folder.path)
        #expect(run.status == 0, "\(run)")
        let modes = run.output.split(separator: "\n").suffix(2).map { Set($0.split(separator: " ")) }
        #expect(modes == [["775"], ["664"]], "\(run.output)")
    }

    @Test func aPathThatIsNoTextIsRefused() throws {
        let sample = try Sample()
        let line = "printf 'a\\377' > \"$1/name\"; \"$0\" export \"$1/store\" -o \"$1/$(cat \"$1/name\").safetensors\""
        let run = try shell(line, sample.folder.path)
        #expect(run.status == 2 && run.errors.contains("argument 4 is not valid UTF-8"), "\(run)")
        #expect(try sample.folder.names(in: "").sorted() == ["name", "store"])
        // Two names in a directory, which read the same.
        let both = """
            mkdir "$1/d"; for n in '\\350' '\\351'; do cp "$1/m" "$1/d/$(printf "a$n").safetensors"; done
            "$0" import "$1/s" "$1/d"
            """
        #expect(try ckpt("export", sample.store, "-o", sample.folder.path + "/m.safetensors").status == 0)
        try FileManager.default.moveItem(atPath: sample.folder.path + "/m.safetensors", toPath: sample.folder.path + "/m")
        let refused = try shell(both, sample.folder.path)
        #expect(refused.status == 6 && refused.errors.contains("is not valid UTF-8"), "\(refused)")
        #expect(!FileManager.default.fileExists(atPath: sample.folder.path + "/s"))
        // A path that is completed from elsewhere.
        for line in [
            "CKPT_STORE=\"$(printf '\\350')\" \"$0\" ls", "mkdir \"$(printf 'd\\351')\"; cd d?; \"$0\" ls ../store",
        ] {
            let run = try shell("cd \"$1\"; " + line, sample.folder.path)
            #expect(run.status == 2 && run.errors.contains("is not valid UTF-8"), "\(run)")
        }
        #expect(CommandLineText.firstInvalid(in: Data([0x61, 0, 0x62, 0, 0xC3, 0x28, 0])) == 2)
        #expect(CommandLineText.firstInvalid(in: Data([0x61, 0, 0xC3, 0xA9, 0])) == nil)
    }

    @Test func aStepOfManyDigitsIsFoundAsItIsPrinted() throws {
        let sample = try Sample()
        let (step, file) = ("409600000000", sample.folder.path + "/m.safetensors")
        #expect(try ckpt("export", sample.store, "-o", file).status == 0)
        #expect(try ckpt("import", sample.store, file, "--step", step).status == 0)
        #expect(try ckpt("ls", sample.store).output.contains(step))
        for reference in [step, "step-" + step, "m:" + step, "m:step-" + step] {
            #expect(try ckpt("inspect", sample.store, reference, "--json").json().integer("step") == Int(step))
        }
        // An id is still found by as many digits as tables show.
        let id = try #require(try ckpt("inspect", sample.store, "10", "--json").json().text("id"))
        #expect(try ckpt("inspect", sample.store, String(id.prefix(12)), "--json").json().integer("step") == 10)
        #expect(try ckpt("inspect", sample.store, "999999999999").status == 3)
    }
}

import CheckpointTestSupport
import Foundation
import Testing

/// Small things that people expect of every command.
@Suite(.timeLimit(.minutes(20))) struct EverydayTests {
    private func shell(_ line: String, _ arguments: String...) throws -> Run {
        try execute(URL(fileURLWithPath: "/bin/sh"), ["-c", line, program.path] + arguments)
    }

    @Test func aSlipOfTheFingerIsRecognized() throws {
        #expect(try ckpt("verfy", "s").errors.contains("Did you mean ckpt verify?"))
        #expect(try ckpt("sl", "s").errors.contains("Did you mean ckpt ls?"))
        let nothing = try ckpt("zzzzzzzz", "s")
        #expect(
            nothing.status == 2 && !nothing.errors.contains("Did you mean")
                && nothing.errors.contains("ckpt --help"))
        #expect(try ckpt("ls", "s", "--limt", "3").errors.contains("Did you mean '--limit'?"))
        let option = try ckpt("ls", "s", "--all")
        #expect(
            option.errors.contains("Unknown option '--all'.")
                && !option.errors.contains("Did you mean"))
    }

    @Test(arguments: [
        ("import s file --step", ["-1", "x", "99999999999999999999"], 0...Int.max),
        ("watch s --until", ["-1"], 0...Int.max), ("ls s --limit", ["0", "-3"], 1...Int.max),
        ("prune s --keep-last", ["0"], 1...Int.max), ("prune s --keep-every", ["1.5"], 1...Int.max),
        ("prune s --keep-runs", [""], 1...Int.max), ("repack s --chain", ["-1", "0", "9"], 1...8),
        ("repack s --threads", ["-1", "65"], 1...64),
    ])
    func aNumberOutOfRangeIsRefusedWithTheRange(
        command: String, values: [String], range: ClosedRange<Int>
    ) throws {
        let expected = "whole number from \(range.lowerBound) to \(range.upperBound)"
        for value in values {
            let run = try ckpt(command.split(separator: " ").map(String.init) + [value])
            #expect(run.status == 2 && run.errors.contains(expected), "\(run)")
        }
    }

    @Test(arguments: [
        ("watch s --timeout", "at least 0"), ("diff s 1 2 --epsilon", "at least 0"),
        ("mirror s t --limit", "more than 0"), ("bench loop --store s --mirror-limit", "more than 0"),
        ("bench loop --store s --steps", "--steps must be"), ("bench codec f --threads", "--threads must be"),
    ])
    func aNegativeNumberIsNoMissingValue(command: String, message: String) throws {
        let run = try ckpt(command.split(separator: " ").map(String.init) + ["-1"])
        #expect(run.status == 2 && run.errors.contains(message), "\(run)")
    }

    @Test func helpThatCannotBeWrittenIsAnError() throws {
        for arguments in ["--help", "import --help", "--version"] {
            let run = try shell("exec \"$0\" \(arguments) > /dev/full")
            #expect(run.status == 5 && run.errors.contains("standard output"), "\(run)")
        }
    }

    @Test func errorsAreJSONTooIfAskedFor() throws {
        let sample = try Sample()
        let missing = try ckpt("inspect", sample.store, "11", "--json")
        let error = try missing.json().object("error")
        #expect(
            missing.status == 3 && error.text("code") == "notFound"
                && error.text("message")?.contains("11") == true)
        #expect(error.text("remedy")?.isEmpty == false)
        let usage = try ckpt("ls", sample.store, "--limit", "0", "--json")
        #expect(usage.status == 2)
        #expect(try usage.json().object("error").text("code") == "usage")
    }

    @Test func quietPrintsNoWarnings() throws {
        let sample = try Sample()
        let loud = try ckpt("ls", sample.store, "--sort", "los")
        let quiet = try ckpt("ls", sample.store, "--sort", "los", "-q")
        #expect(loud.errors.contains("no checkpoint has a metric los") && quiet.errors.isEmpty)
        #expect(loud.output == quiet.output)
        #expect(try ckpt("inspect", sample.store, "11", "-q").errors.contains("11"))
    }

    @Test func verbosePrintsFullIdsAndTheTime() throws {
        let sample = try Sample()
        let id = try #require(try ckpt("inspect", sample.store, "20", "--json").json().text("id"))
        let run = try ckpt("ls", sample.store, "-v")
        #expect(run.output.contains(id) && run.errors.contains("took "))
        #expect(try !ckpt("ls", sample.store).output.contains(id))
    }

    @Test func timesAreLocalUnlessUTCIsAskedFor() throws {
        let sample = try Sample()
        func hour(_ arguments: [String], _ zone: String) throws -> String {
            let output = try ckpt(
                ["ls", sample.store, "--limit", "1"] + arguments, environment: ["TZ": zone]
            ).output
            return String(try #require(try /\d{4}-\d\d-\d\d (\d\d):/.firstMatch(in: output)).1)
        }
        let (utc, east) = (try hour(["--utc"], "Etc/GMT-5"), try hour([], "Etc/GMT-5"))
        #expect((Int(utc) ?? 0) + 5 == Int(east) || (Int(utc) ?? 0) + 5 - 24 == Int(east))
        #expect(try ckpt("ls", sample.store, "--utc").output.contains("Z"))
    }

    @Test func theConfigurationFileNamesTheStore() throws {
        let sample = try Sample()
        let folder = sample.folder.path + "/config/ckpt"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "store = \(sample.store)\nquiet = yes\n".write(
            toFile: folder + "/config", atomically: true, encoding: .utf8)
        let environment = ["XDG_CONFIG_HOME": sample.folder.path + "/config"]
        #expect(
            try ckpt(["inspect", "10", "--json"], environment: environment).json().integer("step")
                == 10)
        #expect(try ckpt(["ls", "--sort", "los"], environment: environment).errors.isEmpty)
        let other = try Sample(weight: "other.weight")
        let chosen = environment.merging(["CKPT_STORE": other.store]) { $1 }
        #expect(
            try ckpt(["inspect", "--json"], environment: chosen).output.contains("other.weight"))
        try "color = blue\n".write(toFile: folder + "/config", atomically: true, encoding: .utf8)
        let wrong = try ckpt(["ls", sample.store], environment: environment)
        #expect(wrong.status == 0 && wrong.errors.contains("line 1: unknown key color"))
    }

    @Test func severalTagsAreGivenAtOnceInTheOrderOfGit() throws {
        let sample = try Sample()
        func tags(_ step: String) throws -> [String] {
            try ckpt("inspect", sample.store, step, "--json").json().texts("tags")
        }
        #expect(try ckpt("tag", sample.store, "newest").status == 0)
        #expect(try ckpt("tag", sample.store, "stable", "paper-v2", "10").status == 0)
        #expect(try ckpt("tag", sample.store, "alias", "stable").status == 0)
        #expect(try tags("20") == ["newest"])
        #expect(try tags("10") == ["alias", "paper-v2", "stable"])
        // The order of version 0.1, if only that makes sense.
        #expect(try ckpt("tag", sample.store, "best:loss", "best-1").status == 0)
        #expect(try tags("20") == ["best-1", "newest"])
        #expect(
            try ckpt("tag", sample.store, "--delete", "stable", "--delete", "alias").status == 0)
        #expect(try tags("10") == ["paper-v2"])
        #expect(try ckpt("tag", sample.store, "bad tag", "10").status == 2)
    }

    // MARK: cat

    @Test func catWritesObjectsAndArraysThatNumPyReads() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        try golden.expect(ckpt("cat", sample.store, "20", "cursor"), "cat.txt")
        try golden.expect(ckpt("cat", sample.store, "20", "cursor", "--json"), "cat.json")
        #expect(
            try shell("\"$0\" cat \"$1\" 20 rng > \"$2/rng\"", sample.store, sample.folder.path)
                .status == 0)
        #expect(try sample.folder.bytes(of: "rng") == [1, 2, 3, 255])
        let raw = try shell(
            "\"$0\" cat \"$1\" 20 model.weight --format raw > \"$2/raw\"", sample.store,
            sample.folder.path)
        #expect(raw.status == 0)
        #expect(
            try sample.folder.bytes(of: "raw")
                == (0..<4096).flatMap { TensorBytes.of(Float($0) / 8) })
        let npy = try shell(
            "\"$0\" cat \"$1\" 20 model.weight > \"$2/w.npy\"", sample.store, sample.folder.path)
        #expect(npy.status == 0)
        let bytes = try sample.folder.bytes(of: "w.npy")
        #expect(
            bytes.prefix(6) == [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]
                && (bytes.count - 16384) % 64 == 0)
        #expect(try Array(bytes.suffix(16384)) == sample.folder.bytes(of: "raw"))
        let missing = try ckpt("cat", sample.store, "20", "model.wieght")
        #expect(
            missing.status == 3 && missing.errors.contains("model.weight") && missing.output.isEmpty
        )
        #expect(
            try ckpt("cat", sample.store, "20", "model.bias", "--json").json().text("type") == "f32"
        )
    }

    // MARK: find

    @Test func findTellsWhereATensorChanged() throws {
        let sample = try Sample()
        let bias = try ckpt("find", sample.store, "model.bias", "--json").json().list("occurrences")
        #expect(
            bias.map { $0.integer("step") } == [20, 10]
                && bias.map { $0.text("change") } == ["changed", "new"])
        let weight = try ckpt("find", sample.store, "model.weight", "--json").json().list(
            "occurrences")
        #expect(weight.map { $0.text("change") } == ["same", "new"])
        let changes = try ckpt("find", sample.store, "*", "--changes", "--json").json().list(
            "occurrences")
        #expect(
            Set(changes.filter { $0.integer("step") == 20 }.compactMap { $0.text("name") }) == [
                "model.bias", "cursor",
            ])
        #expect(
            try ckpt("find", sample.store, "model.weight").output.contains(
                "found in 2 of 2 checkpoints; last changed in step 10"))
        let digests = try ckpt("inspect", sample.store, "10", "--digests", "--json").json().list(
            "tensors")
        for tensor in digests {
            let (name, digest) = (
                try #require(tensor.text("name")), try #require(tensor.text("digest"))
            )
            let found = try ckpt("find", sample.store, "--digest", digest, "--json").json().list(
                "occurrences")
            #expect(
                found.contains { $0.text("name") == name && $0.integer("step") == 10 }, "\(name)")
            #expect(found.contains { $0.integer("step") == 20 } == (name != "model.bias"))
        }
        let golden = Golden(sample)
        try golden.expect(ckpt("find", sample.store, "*"), "find.txt")
        try golden.expect(ckpt("find", sample.store, "model.bias", "--json"), "find.json")
        let missing = try ckpt("find", sample.store, "model.wieght")
        #expect(missing.status == 3 && missing.errors.contains("model.weight"))
        #expect(
            try ckpt("find", sample.store, "--digest", String(repeating: "0", count: 32)).status
                == 3)
        #expect(try ckpt("find", sample.store).status == 2)
    }

    // MARK: restore and diff

    @Test func restoreWritesNumPyFilesAndNamesWhatItCannotWrite() throws {
        let sample = try Sample()
        let out = sample.folder.path + "/out"
        let index = try ckpt("restore", sample.store, "20", "-o", out, "--format", "npy", "--json")
            .json()
        #expect(
            try ckpt("restore", sample.store, "20", "-o", sample.folder.path + "/raw").status == 0)
        #expect(
            index.list("tensors").map { $0.text("file") } == [
                "00000.npy", "00001.npy", "00002.npy",
            ])
        #expect(
            try sample.folder.bytes(of: "out/00001.npy").suffix(64)
                == sample.folder.bytes(of: "raw/00001.bin"))
        let file = try ckpt(
            "restore", sample.store, "20", "-o", sample.folder.path + "/w.safetensors")
        #expect(
            file.status == 0
                && FileManager.default.fileExists(atPath: sample.folder.path + "/w.safetensors"))
        for suffix in ["pt", "bin", "npz", "h5"] {
            let run = try ckpt(
                "restore", sample.store, "20", "-o", sample.folder.path + "/w.\(suffix)")
            #expect(
                run.status == 2 && run.errors.contains(".\(suffix)")
                    && run.errors.contains("safetensors"))
        }
    }

    @Test func aSummaryOfADifferenceIsOneLine() throws {
        let sample = try Sample()
        let run = try ckpt("diff", sample.store, "10", "20", "--summary")
        #expect(run.status == 1 && run.output.split(separator: "\n").count == 1)
        #expect(
            run.output.contains("DIFFER in 1 of 3 tensors and 1 of 2 objects; largest difference "))
        #expect(
            try ckpt("diff", sample.store, "10", "10", "--summary").output.contains(
                "are identical: 3 tensors, 2 objects"))
    }

    // MARK: help

    /// The help of every command, in a terminal of 80 columns.
    @Test(arguments: [
        "ls", "inspect", "cat", "find", "verify", "restore", "diff", "report", "doctor", "import",
        "export", "log", "stats", "tag",
        "pin", "unpin", "rm", "prune", "clean", "repack", "repair", "copy", "mirror", "watch",
    ])
    func helpFitsEightyColumnsAndShowsAnExample(_ verb: String) throws {
        let run = try ckpt([verb, "--help"], environment: ["COLUMNS": "80"])
        #expect(run.status == 0 && run.output.contains("Example: ckpt \(verb) "))
        for line in run.output.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    }

    @Test func tablesFitATerminalOfEightyColumns() throws {
        let sample = try Sample(
            weight: "model.layers.0.attention.self.query_key_value_projection.weight")
        #expect(
            try ckpt("tag", sample.store, "a-rather-long-tag", "another-rather-long-tag", "20")
                .status == 0)
        // Sentences are wrapped by the terminal, as sentences may be.
        let sentences = ["to resume", "on disk", " DIFFER "]
        for line in [
            "ls", "inspect", "inspect --stats", "log", "stats", "tag",
            "prune --keep-last 1 --dry-run", "diff 10 20", "find *",
        ] {
            let words = line.split(separator: " ").map(String.init)
            let arguments = [words[0], sample.store] + words.dropFirst()
            let command = ([program.path] + arguments).map { "'\($0)'" }.joined(separator: " ")
            let run = try execute(
                URL(fileURLWithPath: "/usr/bin/script"),
                ["-qec", "stty cols 80; \(command) 2> /dev/null", "/dev/null"])
            let lines = run.output.replacingOccurrences(of: "\r", with: "").split(separator: "\n")
            #expect(!lines.isEmpty)
            for text in lines where !sentences.contains(where: { text.contains($0) }) {
                #expect(text.count <= 80, "\(line): \(text)")
            }
        }
    }
}

private enum TensorBytes {
    static func of(_ value: Float) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) }
    }
}

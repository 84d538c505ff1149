import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// What `--help` shows: lines that fit a terminal, and examples that work as they stand.
@Suite(.timeLimit(.minutes(20))) struct HelpTests {
    static let pages =
        [[], ["bench", "loop"], ["bench", "codec"]] + EveryVerbTests.lines.map { [$0[0]] }

    @Test(arguments: pages)
    func everyLineFitsEightyColumns(_ page: [String]) throws {
        let help = try ckpt(page + ["--help"])
        #expect(help.status == 0, "\(help.errors)")
        for line in help.output.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    }

    @Test(arguments: pages)
    func examplesWork(_ page: [String]) throws {
        let examples = try examples(of: page)
        #expect(!examples.isEmpty)
        let folder = try TemporaryDirectory()
        try prepare(folder.path + "/ready")
        for (number, example) in examples.enumerated() {
            let place = "\(folder.path)/\(number)"
            try FileManager.default.copyItem(atPath: folder.path + "/ready", toPath: place)
            let path = "\(place)/bin:\(program.deletingLastPathComponent().path):/usr/bin:/bin"
            let line = try adapted(example, in: place)
            let run = try execute(
                URL(fileURLWithPath: "/bin/sh"), ["-c", "cd '\(place)' && \(line)"], ["PATH": path])
            // Two checkpoints differ.
            let allowed: Set<Int32> = page == ["diff"] ? [0, 1] : [0]
            #expect(allowed.contains(run.status), "\(line): \(run)")
        }
    }

    /// The examples of a page. Each goes on to the next, or to an empty line.
    private func examples(of page: [String]) throws -> [String] {
        var examples: [String] = []
        var isInside = false
        for line in try ckpt(page + ["--help"]).output.components(separatedBy: "\n") {
            if line.hasPrefix("Example: ") {
                examples.append(String(line.dropFirst("Example: ".count)))
                isInside = true
            } else if line.isEmpty {
                isInside = false
            } else if isInside {
                examples[examples.count - 1] += " " + line
            }
        }
        return examples
    }

    /// Makes a directory with what examples speak of: the store `runs/first` with steps 1000 and 2000
    /// of a run and steps 500 and 600 of imports, files to import, and an `ssh` that stays here.
    private func prepare(_ folder: String) throws {
        let (store, files) = (folder + "/runs/first", FileManager.default)
        for name in ["bin", "runs"] {
            try files.createDirectory(
                atPath: folder + "/" + name, withIntermediateDirectories: true)
        }
        try Data("#!/bin/sh\nshift\nexec sh -c \"$*\"\n".utf8).write(
            to: URL(fileURLWithPath: folder + "/bin/ssh"))
        try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder + "/bin/ssh")
        try Data(count: 1 << 16).write(to: URL(fileURLWithPath: folder + "/weights.bin"))
        let raw = [
            "--format", "raw", "--dtype", "u8", "--shape", "65536", "--name", "w", "--run",
            "weights",
        ]
        for step in ["500", "600"] {
            #expect(
                try ckpt(["import", store, folder + "/weights.bin", "--step", step] + raw).status
                    == 0)
        }
        let embedding = try TensorBuffer.of((0..<64).map { Float($0) }, [8, 8])
        let attention = try TensorBuffer.of((0..<64).map { Float($0) }, [8, 8])
        let state = CompositeState {
            TensorState("model.embedding.weight", embedding.view)
            TensorState("model.attention.weight", attention.view)
            EncodedState("scheduler", role: .schedule, freeze: { { [1] } }, restore: { _ in })
        }
        var options = CheckpointerOptions()
        options.run = "first"
        let opened = try openSoon(store, for: .writing)
        let checkpointer = try Checkpointer(store: opened, state: state, options: options)
        for (step, loss) in [(1000, 2.5), (2000, 2.0)] {
            checkpointer.mutate {
                attention.region.store(TensorBuffer.bytes(of: Float(step), count: 64)[...])
            }
            try checkpointer.save(step: step, metrics: ["loss": loss]).wait()
        }
        try checkpointer.close()
        try opened.close()
        let file = folder + "/model.safetensors"
        #expect(try ckpt("export", store, "first:1000", "-o", file).status == 0)
    }

    /// The example, with what a test cannot do as it stands: to measure for a minute, to watch for
    /// ever, to write outside its directory, or to know a digest before it is computed.
    private func adapted(_ example: String, in place: String) throws -> String {
        var line = example.replacingOccurrences(of: "/archive/", with: place + "/archive/")
        if line.hasPrefix("ckpt watch") { line += " --once" }
        if line.contains(" weights.safetensors --epsilon") {
            let file = place + "/weights.safetensors"
            #expect(try ckpt("export", place + "/runs/first", "first:1000", "-o", file).status == 0)
        }
        if line.contains("--digest") {
            let inspected = try ckpt("inspect", place + "/runs/first", "--digests", "--json").json()
            let digest = try #require(inspected.list("tensors").first?.text("digest"))
            line = line.prefix { $0 != "-" } + "--digest " + digest
        }
        if line.contains("--state gpt2") {
            line =
                "ckpt bench --store runs/bench --state small --scale 0.0005 --steps 2 --every 1 --warmup 0"
                + " --compute-seconds 0.001 --compute-threads 1 --arena 8"
        }
        return line
    }
}

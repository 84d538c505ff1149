internal import CheckpointCodecs
import CheckpointTestSupport
import Foundation
import Testing

/// What the verbs print that turn checkpoints into files and files into checkpoints, and what `repack` and `bench` print.
@Suite(.timeLimit(.minutes(20))) struct FileVerbTests {
    @Test func restoreSaysWhatItDid() throws {
        let sample = try Sample(compression: .lz4)
        let (golden, out) = (Golden(sample), sample.folder.path + "/out")
        try golden.expect(ckpt("restore", sample.store, "20", "-o", out), "restore.txt")
        try golden.expect(ckpt("restore", sample.store, "10", "-o", out + "-json", "--json"), "restore.json")
        try golden.expect(
            ckpt("restore", sample.store, "-o", out + ".safetensors", "--format", "safetensors", "--tensor", "model.*", "--json"),
            "restore-safetensors.json")
        try golden.expect(ckpt("restore", sample.store, "-o", out), "restore-taken.txt", status: 7)
        try golden.expect(ckpt("restore", sample.store, "1", "-o", out + "1"), "restore-unknown.txt", status: 3)
        let place = try sample.place(of: "model.bias", step: 20)
        try sample.folder.damage(place.file, at: place.offset)
        try golden.expect(ckpt("restore", sample.store, "20", "-o", out + "2"), "restore-damage.txt", status: 1)
        try golden.expect(ckpt("restore", sample.store, "-o", out + "2"), "restore-walked-back.txt")
    }

    @Test func exportSaysWhatItDid() throws {
        let sample = try Sample()
        let (golden, out) = (Golden(sample), sample.folder.path + "/out")
        try golden.expect(ckpt("export", sample.store, "20", "-o", out, "--objects"), "export.txt")
        try golden.expect(ckpt("export", sample.store, "20", "-o", out + "-json", "--max-shard-size", "17KB", "--json"), "export.json")
        try golden.expect(ckpt("export", sample.store, "-o", out), "export-taken.txt", status: 7)
        try golden.expect(ckpt("export", sample.store, "--tensor", "no.*", "-o", out + "2"), "export-nothing.txt", status: 3)
    }

    @Test func importSaysWhatItDid() throws {
        let folder = try TemporaryDirectory()
        let (golden, store) = (Golden(folder: folder), folder.path + "/store")
        try folder.write((0..<24).map { UInt8($0) }, to: "x.bin")
        let raw = ["--format", "raw", "--dtype", "f32", "--name", "w\u{1B}[31m", "--compression", "none"]
        func run(_ more: String...) throws -> Run { try ckpt(["import", store, folder.path + "/x.bin"] + raw + more) }
        try golden.expect(run("--step", "1", "--shape", "2,3"), "import.txt")
        try golden.expect(
            run("--step", "2", "--shape", "6", "--metric", "loss=0.5", "--run", "raw", "--role", "w*=buffer", "--json"), "import.json")
        try golden.expect(run("--step", "3", "--shape", "7"), "import-short.txt", status: 1)
        try golden.expect(ckpt("import", store, folder.path + "/x.bin", "--step", "4"), "import-unknown.txt", status: 6)
        try golden.expect(ckpt("import", store, folder.path + "/none", "--step", "4"), "import-missing.txt", status: 3)
    }

    @Test func repackSaysWhatItDid() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        try golden.expect(ckpt("repack", sample.store, "--dry-run"), "repack-dry.txt")
        try golden.expect(ckpt("repack", sample.store, "--dry-run", "--json"), "repack.json")
        try golden.expect(ckpt("repack", sample.store), "repack.txt")
        try golden.expect(ckpt("repack", sample.store), "repack-again.txt")
        try golden.expect(ckpt("repack", sample.store, "--chain", "9"), "repack-usage.txt", status: 2)
        #expect(try ckpt("verify", sample.store).status == 0)
    }

    /// Figures are another in every run; what they are called is not.
    @Test func benchSaysWhatItMeasured() throws {
        let folder = try TemporaryDirectory()
        let golden = Golden(folder: folder, hidesNumbers: true)
        let line = ["bench", "--store", folder.path + "/store", "--state", "small", "--scale", "0.0005", "--steps", "2"]
            + ["--warmup", "0", "--compute-seconds", "0.001", "--compute-threads", "1", "--arena", "8"]
        try golden.expect(ckpt(line), "bench.txt")
        try golden.expect(ckpt(line + ["--json", "-"]), "bench.json")
        try folder.write((0..<8000).map { UInt8(truncatingIfNeeded: $0 * $0) }, to: "w")
        let codec = ["bench", "codec", folder.path + "/w", "--dtype", "f32", "--rounds", "1"]
        try golden.expect(ckpt(codec), "bench-codec.txt")
        try golden.expect(ckpt(codec + ["--json", "-"]), "bench-codec.json")
        try golden.expect(ckpt(line + ["--steps", "0"]), "bench-usage.txt", status: 2)
    }
}

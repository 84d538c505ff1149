import CheckpointFormat
import CheckpointTestSupport
import Foundation
import Testing

/// `ckpt bench codec` as a person runs it.
@Suite(.timeLimit(.minutes(20))) struct BenchCodecTests {
    /// Floats of both signs, small and alike in size.
    private func weights(_ folder: TemporaryDirectory, _ name: String, count: Int, step: Float = 0) throws -> String {
        let values = (0..<count).map { sin(Float($0) * 1.7) * 0.02 * (1 + step) }
        let path = folder.path + "/" + name
        try Data(values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } })
            .write(to: URL(fileURLWithPath: path))
        return path
    }

    private func bench(_ arguments: [String]) throws -> Run {
        try ckpt(["bench", "codec", "--rounds", "2", "--json", "-"] + arguments)
    }

    @Test(arguments: [("none", 0.99, 1.01), ("lz4", 0.99, 9), ("zstd:3", 1, 9), ("fast", 1.1, 9), ("balanced", 1.1, 9), ("max", 1.1, 9)])
    func everyLevelGivesSaneFigures(_ level: String, _ least: Double, _ most: Double) throws {
        let folder = try TemporaryDirectory()
        let file = try weights(folder, "w", count: 30_001)
        let run = try bench([file, "--dtype", "f32", "--level", level, "--block-bytes", "40000", "--threads", "2"])
        #expect(run.status == 0, "\(run.errors)")
        let report = try run.json()
        #expect(report.flag("exact") == true && report.integer("raw_bytes") == 120_004)
        #expect((least...most).contains(report.number("ratio") ?? 0), "\(report.number("ratio") ?? 0)")
        for key in ["compress_mbps", "decompress_mbps"] {
            #expect(report.object(key).number("min") ?? 0 > 0 && report.object(key).integer("n") == 2)
        }
        #expect(report.list("planes").count == (["fast", "balanced", "max"].contains(level) ? 4 : 0))
        #expect(report.object("configuration").text("level") == level)
    }

    @Test func aBaseMakesItSmaller() throws {
        let folder = try TemporaryDirectory()
        let (file, base) = (try weights(folder, "w", count: 20_000, step: 1e-6), try weights(folder, "b", count: 20_000))
        let alone = try bench([file, "--dtype", "f32"]).json()
        let delta = try bench([file, "--dtype", "f32", "--base", base]).json()
        #expect(delta.flag("exact") == true)
        #expect(delta.number("ratio") ?? 0 > 1.5 * (alone.number("ratio") ?? 9))
        let short = try weights(folder, "s", count: 10)
        let run = try bench([file, "--base", short])
        #expect(run.status == 7 && run.errors.contains("has 40 bytes"))
    }

    @Test func theDocumentListsTheKeys() throws {
        let page = try String(contentsOf: checkout.appendingPathComponent("Formats/cli-json.md"), encoding: .utf8)
        let table = try #require(page.components(separatedBy: "<!-- table: bench codec -->").dropFirst().first)
        let rows = table.components(separatedBy: "\n").dropFirst().prefix { $0.hasPrefix("|") }.dropFirst(2)
        let documented = rows.flatMap { row in
            row.split(separator: "|")[0].split(separator: ",").map { $0.trimmingCharacters(in: [" ", "`"]) }
        }
        let folder = try TemporaryDirectory()
        let report = try bench([try weights(folder, "w", count: 100)]).json()
        #expect(documented.sorted() == report.members.keys.sorted())
    }

    @Test func aTableForPeople() throws {
        let folder = try TemporaryDirectory()
        let run = try ckpt("bench", "codec", try weights(folder, "w", count: 5000), "--dtype", "f32", "--rounds", "1")
        #expect(run.status == 0 && run.output.hasPrefix("FIGURE") && run.output.contains("PLANE") && run.output.contains("4-byte, rotated"))
    }

    @Test func whatCannotBeMeasuredIsSaid() throws {
        let folder = try TemporaryDirectory()
        let file = try weights(folder, "w", count: 10)
        for arguments in [
            ["--level", "huge"], ["--dtype", "f31"], ["--threads", "0"], ["--rounds", "0"], ["--block-bytes", "0"],
            ["--base", file, "--level", "lz4"],
        ] { #expect(try bench([file] + arguments).status == 2, "\(arguments)") }
        #expect(try bench([folder.path + "/none"]).status == 3)
        try Data().write(to: URL(fileURLWithPath: folder.path + "/empty"))
        #expect(try bench([folder.path + "/empty"]).status == 7)
    }
}

import CheckpointFormat
import CheckpointState
import CheckpointTestSupport
import Checkpointing
@testable import ckpt
import Foundation
import Testing

/// Statistics, completeness and outputs of `ckpt inspect`.
@Suite(.timeLimit(.minutes(20))) struct InspectTests {
    private func statistics<Bits: FixedWidthInteger>(_ type: ElementType, _ bits: [Bits]) throws -> TensorStatistics {
        let bytes = bits.flatMap { value in (0..<Bits.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
        var statistics = TensorStatistics()
        statistics.add(try TensorBuffer(type, [bits.count], bytes: bytes).region, of: type)
        return statistics
    }

    @Test func everyTypeIsRead() throws {
        let all = [
            try statistics(.f64, [-2.0, 0, 4].map(\.bitPattern)), try statistics(.f32, [-2, 0, 4].map { Float($0).bitPattern }),
            try statistics(.f16, [-2, 0, 4].map { Float16($0).bitPattern }), try statistics(.bf16, [0xC000, 0, 0x4080] as [UInt16]),
            try statistics(.f8e4m3, [0xC0, 0, 0x48] as [UInt8]), try statistics(.f8e5m2, [0xC0, 0, 0x44] as [UInt8]),
            try statistics(.i64, [-2, 0, 4] as [Int64]), try statistics(.i32, [-2, 0, 4] as [Int32]),
            try statistics(.i16, [-2, 0, 4] as [Int16]), try statistics(.i8, [-2, 0, 4] as [Int8]),
        ]
        for figures in all {
            #expect(figures.range == -2...4 && figures.zeros == 1 && figures.squares == 20)
            #expect(abs((figures.mean ?? 0) - 2 / 3.0) < 1e-15)
            #expect(abs((figures.deviation ?? 0) - (56 / 9.0).squareRoot()) < 1e-15)
        }
        let unsigned = [
            try statistics(.u64, [1, 3] as [UInt64]), try statistics(.u32, [1, 3] as [UInt32]), try statistics(.u16, [1, 3] as [UInt16]),
            try statistics(.u8, [1, 3] as [UInt8]),
        ]
        for figures in unsigned { #expect(figures.mean == 2 && figures.deviation == 1) }
        #expect(try statistics(.bool, [0, 1, 1, 0] as [UInt8]).mean == 0.5)
    }

    @Test func layoutOfSeveralRanks() throws {
        let folder = try TemporaryDirectory()
        let store = checkout.appendingPathComponent("Formats/vectors/stores/ranks").path
        try FileManager.default.copyItem(atPath: store, toPath: folder.path + "/store")
        let run = try ckpt("inspect", folder.path + "/store", "--layout")
        try Golden(folder: folder).expect(run, "inspect-layout.txt")
        #expect(run.output.split(separator: "\n").allSatisfy { $0.hasPrefix("to resume") || $0.count <= 80 })
        let json = try ckpt("inspect", folder.path + "/store", "--layout", "--json").json()
        let columns = try #require(json.list("tensors").first { $0.text("name") == "columns" })
        #expect(columns.list("layout").map { $0.integer("rank") } == [0, 1, 2])
    }

    @Test func whatIsNotFiniteIsCountedApart() throws {
        let figures = try statistics(.f32, [Float.nan, .infinity, -.infinity, 3, -0.0].map(\.bitPattern))
        #expect(figures.nans == 1 && figures.infinities == 2 && figures.zeros == 1 && figures.finite == 2)
        #expect(figures.range == -0.0...3)
        let none = try statistics(.f32, [Float.nan.bitPattern])
        #expect(none.range == nil && none.mean == nil && none.deviation == nil && none.norm == 0)
    }

    /// A mean far from 0 takes nothing from the deviation.
    @Test func alikeElementsKeepTheirDeviation() throws {
        let figures = try statistics(.f64, (0..<1000).map { (1e9 + Double($0 % 2)).bitPattern })
        #expect(abs((figures.deviation ?? 0) - 0.5) < 1e-9)
    }

    @Test func binsCoverTheRange() throws {
        let tensor = try TensorBuffer.of([0, 0.5, 1, 1.5, 2, 4, .nan], [7])
        var histogram = TensorHistogram(0...4, bins: 4)
        histogram.add(tensor.region, of: .f32)
        #expect(histogram.counts == [2, 2, 1, 1])
        var point = TensorHistogram(3...3, bins: 4)
        point.add(try TensorBuffer.of([3, 3], [2]).region, of: .f32)
        #expect(point.counts.reduce(0, +) == 2)
        #expect(Sparkline.text([0, 1, 1000, 500]) == " ▁█▄")
    }

    /// Parts of every tensor, in chunks smaller than it, against numpy.
    @Test func figuresAgreeWithNumpy() throws {
        let folder = try TemporaryDirectory()
        try Judge.makeArrays(folder.path)
        let store = folder.path + "/store"
        #expect(try ckpt("import", store, folder.path + "/a.safetensors", "--step", "1").status == 0)
        let script = """
            import sys, json, numpy as np, safetensors.numpy as st
            out = {}
            for name, a in st.load_file(sys.argv[1]).items():
                a = a.astype('f8').ravel()
                if a.size: out[name] = [a.min(), a.max(), a.mean(), a.std(), np.sqrt((a*a).sum()), float((a==0).sum())] \\
                    + [float(x) for x in np.histogram(a, 32)[0]]
            print(json.dumps(out))
            """
        let judged = try JSONSerialization.jsonObject(
            with: Data(Judge.run(script, folder.path + "/a.safetensors").utf8)) as? [String: [Double]] ?? [:]
        let json = try ckpt("inspect", store, "--stats", "--json").json()
        #expect(judged.count == 14)
        for (name, expected) in judged {
            let stats = try #require(json.element("tensors", named: name)).object("stats")
            let found = ["min", "max", "mean", "std", "norm", "zero"].map { stats.number($0) ?? .nan }
                + (stats.members["histogram"] as? [Double] ?? [])
            for (a, b) in zip(found, expected.prefix(6)) { #expect(abs(a - b) <= 1e-9 * max(abs(b), 1), "\(name)") }
            // Where all elements are alike, numpy widens the range.
            if expected[0] != expected[1] { #expect(Array(found.dropFirst(6)) == Array(expected.dropFirst(6)), "\(name)") }
        }
        let empty = try #require(json.element("tensors", named: "empty")).object("stats")
        #expect(empty.members["min"] is NSNull && empty.integer("elements") == 0)
    }

    @Test func completenessIsToldInParts() throws {
        let sample = try Sample()
        try sample.forge { manifest in
            manifest.tensors[2].name = "optimizer.m.model.weight"
            manifest.objects[0].role = .schedule
        }
        let json = try ckpt("inspect", sample.store, "30", "--json").json().object("completeness")
        #expect(json.object("parameters").text("state") == "present")
        #expect(json.object("optimizer").text("state") == "partial")
        #expect(json.object("optimizer").text("detail") == "1 of 2 parameters have optimizer state")
        #expect(json.object("data").text("state") == "missing")
        #expect(json.object("schedule").text("state") == "present")
        #expect(try ckpt("inspect", sample.store, "30").output.contains("optimizer INCOMPLETE (1 of 2 parameters"))
    }

    @Test func severalPatternsPickTensors() throws {
        let sample = try Sample()
        let json = try ckpt("inspect", sample.store, "--tensor", "*.bias", "--tensor", "opt*", "--json").json()
        #expect(json.list("tensors").map { $0.text("name") } == ["model.bias", "optimizer.m"])
    }

    @Test func outputsAreThoseOfTheGoldenFiles() throws {
        let sample = try Sample()
        let golden = Golden(folder: sample.folder)
        try golden.expect(ckpt("inspect", sample.store, "20", "--stats"), "inspect.txt", status: 0)
        try golden.expect(ckpt("inspect", sample.store, "20", "--stats", "--json"), "inspect.json", status: 0)
        let hostile = try Sample(weight: "<img src=x>\u{1B}]0;\u{7}\n", runName: "\u{202E}x\r")
        try Golden(folder: hostile.folder).expect(ckpt("inspect", hostile.store, "10", "--stats"), "inspect-hostile.txt", status: 0)
    }
}

import CheckpointTestSupport
import Foundation
import Testing

/// States described by files.
@Suite(.timeLimit(.minutes(20))) struct WorkloadTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
        try Data((0..<4096).map { UInt8(truncatingIfNeeded: $0) }).write(to: url("raw.bin"))
    }

    private func url(_ name: String) -> URL { URL(fileURLWithPath: folder.path + "/" + name) }

    private func bench(_ workload: String, _ options: String...) throws -> Run {
        try Data(workload.utf8).write(to: url("workload.json"))
        return try ckpt(
            ["bench", "--store", folder.path + "/store", "--state", folder.path + "/workload.json", "--steps", "3"]
                + ["--compute-seconds", "0", "--warmup", "0", "--arena", "8", "--json", "-"] + options)
    }

    private let good = """
        {"tensors": [
          {"name": "w", "dtype": "bf16", "shape": [8, 64], "file": "raw.bin", "offset": 0, "group": "body"},
          {"name": "overlapping", "dtype": "f32", "shape": [100], "file": "raw.bin", "offset": 512},
          {"name": "none", "dtype": "i64", "shape": [0, 7], "file": "raw.bin", "offset": 4096},
          {"name": "scalar", "dtype": "u8", "shape": [], "file": "raw.bin", "offset": 4095}],
         "objects": {"rng": {"state": [1, 2, 3]}, "text": "é"}}
        """

    @Test func aWorkloadIsSavedAndRestored() throws {
        let run = try bench(good, "--keep-store")
        #expect(run.status == 0, "\(run.errors)")
        let report = try run.json()
        #expect(report.flag("bit_exact") == true)
        let objects = #"{"state":[1,2,3]}"#.utf8.count + #""é""#.utf8.count
        #expect(report.integer("bytes_logical") == 1024 + 400 + 1 + objects)
        #expect(report.object("configuration").integer("trained_groups") == 2)
        let inspected = try ckpt("inspect", folder.path + "/store", "--json").json()
        #expect(inspected.list("tensors").map { $0.text("name") } == ["w", "overlapping", "none", "scalar"])
        #expect(inspected.element("objects", named: "text")?.text("value") == "é")
    }

    @Test func theBytesAreThoseOfTheFilesAfterSoManyUpdates() throws {
        #expect(try bench(good, "--keep-store").status == 0)
        let target = folder.path + "/out"
        #expect(try ckpt("restore", folder.path + "/store", "3", "-o", target).status == 0)
        let restored = try Data(contentsOf: URL(fileURLWithPath: target + "/00003.bin"))
        // 255, and one more for each of the 7 steps without checkpoints and the 2 before the save.
        #expect(Array(restored) == [UInt8(truncatingIfNeeded: 255 + 7 + 2)])
    }

    @Test(arguments: [
        ("{", 7, "JSON"), ("[]", 7, "not an object"), (#"{"objects": {}}"#, 7, "tensors is missing"),
        (#"{"tensors": {}}"#, 7, "tensors is not an array"), (#"{"tensors": []}"#, 7, "no tensor"),
        (#"{"tensors": [1]}"#, 7, "tensor 0 is not an object"),
        (#"{"tensors": [{"name": "w"}]}"#, 7, "dtype is missing"),
        (Self.tensor(type: "f33"), 7, "dtype f33 is not one of"),
        (Self.tensor(shape: "[-1]"), 7, "shape has an element that is not an integer of at least 0"),
        (Self.tensor(shape: "[1.5]"), 7, "shape has an element that is not"),
        (Self.tensor(shape: "[9000000000000000000, 9]"), 7, "too large"),
        (Self.tensor(shape: "[9000000000000000000000]"), 7, "out of range"),
        (Self.tensor(shape: "[" + [String](repeating: "1", count: 33).joined(separator: ",") + "]"), 7, "33 elements"),
        (Self.tensor(name: ""), 7, "name has 0 bytes"), (Self.tensor(file: ""), 7, "file is not a path"),
        (Self.tensor(file: #"raw.bin\u0000x"#), 7, "file is not a path"),
        (Self.tensor(file: "missing.bin"), 3, "missing.bin"), (Self.tensor(file: "."), 5, "failed"),
        (Self.tensor(offset: "-1"), 7, "offset is not an integer"), (Self.tensor(offset: "5000"), 7, "which has 4096"),
        (Self.tensor(offset: "1"), 7, "needs 4096 bytes at offset 1 of"),
        (Self.tensor(offset: "9223372036854775807"), 7, "which has 4096"),
        (#"{"tensors": [], "objects": []}"#, 7, "objects is not a JSON object"),
        (#"{"tensors": [], "objects": {"a": 1, "a": 2}}"#, 7, "duplicate key"),
        (#"{"tensors": [], "objects": {"": 1}}"#, 7, "object's name has 0 bytes"),
    ])
    func aBadWorkloadIsExplained(_ workload: String, _ status: Int, _ message: String) throws {
        let run = try bench(workload)
        #expect(Int(run.status) == status && run.output.isEmpty)
        #expect(run.errors.hasPrefix("ckpt: ") && run.errors.contains(message), "\(run.errors)")
        #expect(try folder.names(in: "") == ["raw.bin", "workload.json"])
    }

    private static func tensor(
        name: String = "w", type: String = "f32", shape: String = "[1024]", file: String = "raw.bin", offset: String = "0"
    ) -> String {
        #"{"tensors": [{"name": "\#(name)", "dtype": "\#(type)", "shape": \#(shape), "file": "\#(file)", "offset": \#(offset)}]}"#
    }

    @Test func twoTensorsOfOneNameAreRefused() throws {
        let one = #"{"name": "w", "dtype": "u8", "shape": [1], "file": "raw.bin", "offset": 0}"#
        let run = try bench(#"{"tensors": [\#(one), \#(one)]}"#)
        #expect(run.status == 7 && run.errors.contains("two tensors have the name w"))
    }

    @Test func moreThanTheMachineHoldsIsRefused() throws {
        let sparse = try FileHandle(forWritingTo: url("raw.bin"))
        try sparse.truncate(atOffset: 1 << 43)
        let run = try bench(Self.tensor(shape: "[2199023255552]"))
        #expect(run.status == 7 && run.errors.contains("memory"))
    }

    @Test func aWorkloadThatIsNotThereIsThree() throws {
        let run = try ckpt("bench", "--store", folder.path + "/store", "--state", folder.path + "/nothing.json")
        #expect(run.status == 3 && run.errors.contains("nothing.json"))
    }
}

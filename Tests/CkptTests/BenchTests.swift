import CheckpointBench
import CheckpointFormat
import CheckpointTestSupport
import Foundation
import Testing

/// `ckpt bench` as a person runs it, on states of a few hundred KiB.
@Suite(.timeLimit(.minutes(20))) struct BenchTests {
    /// Saves at steps 2 and 4 of 5.
    private func bench(_ store: String, _ arguments: [String] = []) throws -> Run {
        let small = arguments.contains("--state") ? [] : ["--state", "small", "--scale", "0.0005"]
        return try ckpt(
            ["bench", "--store", store, "--steps", "5", "--every", "2", "--compute-seconds", "0.002", "--warmup", "1"]
                + ["--compute-threads", "2", "--arena", "8", "--json", "-"] + small + arguments)
    }

    private static let promised = [
        "submit_ms", "stall_s", "stall_p99_s", "fence_s", "backpressure_s", "durable_s", "committed_gbps", "perceived_gbps",
        "step_slowdown", "end_to_end_ratio", "recovery_age_s", "bytes_logical", "bytes_physical", "bytes_new", "peak_rss_over_state",
        "restore_cold_s", "restore_warm_s", "one_tensor_ms", "bit_exact",
    ]
    private static let spreadsOverSaves: Set = [
        "submit_ms", "stall_s", "fence_s", "backpressure_s", "durable_s", "committed_gbps", "recovery_age_s",
        "bytes_new",
    ]
    /// Differences from a median measured before may be negative.
    private static let mayBeNegative: Set = ["stall_s", "stall_p99_s", "step_slowdown"]

    @Test(arguments: SyntheticState.allCases)
    func everyStateGivesSaneFigures(_ state: SyntheticState) throws {
        let folder = try TemporaryDirectory()
        let scale = 0.0005
        let run = try bench(folder.path + "/store", ["--state", state.rawValue, "--scale", "\(scale)"])
        #expect(run.status == 0, "\(run.errors)")
        let report = try run.json()
        let tensors = state.tensors(scale: scale)
        let bytes = tensors.reduce(0) { $0 + $1.byteCount }
        for key in Self.promised { checkFigure(key, report, saves: 2) }
        #expect(report.flag("bit_exact") == true)
        // The four objects are small.
        #expect((bytes + 1...bytes + 500).contains(report.integer("bytes_logical") ?? 0))
        #expect(report.integer("bytes_physical") == report.integer("bytes_logical"))
        let configuration = report.object("configuration")
        #expect(configuration.integer("tensors") == tensors.count && configuration.integer("tensor_bytes") == bytes)
        #expect(report.list("saves").map { $0.integer("step") } == [2, 4])
        #expect(try folder.names(in: "").isEmpty)
    }

    private func checkFigure(_ key: String, _ report: Fields, saves: Int) {
        guard Self.spreadsOverSaves.contains(key) else {
            guard key != "bit_exact" else { return }
            let value = report.number(key)
            #expect(value?.isFinite == true && (value ?? -1 >= 0 || Self.mayBeNegative.contains(key)), "\(key)")
            return
        }
        let spread = report.object(key)
        let values = ["min", "median", "max"].compactMap { spread.number($0) }
        #expect(values.count == 3 && values == values.sorted() && values.allSatisfy(\.isFinite), "\(key)")
        #expect(spread.integer("n") == saves, "\(key)")
        #expect(Self.mayBeNegative.contains(key) || values.first ?? -1 >= 0, "\(key)")
    }

    @Test func theDocumentListsTheKeys() throws {
        let page = try String(contentsOf: checkout.appendingPathComponent("Formats/cli-json.md"), encoding: .utf8)
        let table = try #require(page.components(separatedBy: "<!-- table: bench -->").dropFirst().first)
        let rows = table.components(separatedBy: "\n").dropFirst().prefix { $0.hasPrefix("|") }.dropFirst(2)
        let documented = rows.flatMap { row in
            row.split(separator: "|")[0].split(separator: ",").map { $0.trimmingCharacters(in: [" ", "`"]) }
        }
        let folder = try TemporaryDirectory()
        let report = try bench(folder.path + "/store").json()
        #expect(documented.sorted() == report.members.keys.sorted())
        #expect(Set(Self.promised).isSubset(of: documented))
    }

    @Test("Several ranks save together, and every one restores its part")
    func ranks() throws {
        let folder = try TemporaryDirectory()
        let store = folder.path + "/store"
        let report = try bench(
            store, ["--ranks", "3", "--keep-store", "--state", "gpt2", "--scale", "0.0005"]).json()
        #expect(report.integer("ranks") == 3 && report.flag("bit_exact") == true)
        let page = try String(
            contentsOf: checkout.appendingPathComponent("Formats/cli-json.md"), encoding: .utf8)
        let table = try #require(
            page.components(separatedBy: "<!-- table: bench ranks -->").dropFirst().first)
        let rows = table.components(separatedBy: "\n").dropFirst().prefix { $0.hasPrefix("|") }
        let documented = rows.dropFirst(2).flatMap { row in
            row.split(separator: "|")[0].split(separator: ",").map {
                $0.trimmingCharacters(in: [" ", "`"])
            }
        }
        #expect(documented.sorted() == report.members.keys.sorted())
        // Parameters are a third of the state: each rank saves a third of them, and of the rest.
        let whole = report.integer("bytes_logical") ?? 0
        #expect(report.object("bytes_of_rank").number("max") ?? 0 < Double(whole) * 0.4)
        #expect(report.object("bytes_copied").number("min") ?? 0 > Double(whole) * 0.15)
        #expect(report.integer("root_bytes") ?? 0 > 1000)
        let verified = try ckpt("verify", store, "--replicas", "--json").json()
        #expect(verified.flag("whole") == true)
    }

    private static let switches = [
        "lazy", "preallocation", "coalescing", "streaming", "direct", "recycling", "group_fences", "priority",
    ]

    @Test(arguments: switches)
    func everySwitchIsTaken(_ key: String) throws {
        let folder = try TemporaryDirectory()
        let option = "--no-" + key.replacingOccurrences(of: "_", with: "-")
        let report = try bench(folder.path + "/store", [option]).json()
        let configuration = report.object("configuration")
        #expect(report.flag("bit_exact") == true)
        #expect(Self.switches.filter { configuration.flag($0) == false } == [key])
        #expect(configuration.integer("niceness") == (key == "priority" ? 0 : 10))
    }

    @Test func everyOptionIsTaken() throws {
        let folder = try TemporaryDirectory()
        let options = [
            "--codec", "zstd:3", "--workers", "1", "--niceness", "5", "--keep-last", "3", "--backpressure", "skip", "--capture",
            "fenced", "--every", "1",
        ]
        let report = try bench(folder.path + "/store", options).json()
        let configuration = report.object("configuration")
        #expect(configuration.text("codec") == "zstd:3" && configuration.text("backpressure") == "skip")
        #expect(configuration.integer("workers") == 1 && configuration.integer("niceness") == 5)
        #expect(configuration.integer("keep_last") == 3 && configuration.text("capture") == "fenced")
        #expect(report.list("saves").count + (report.integer("saves_skipped") ?? 0) == 5)
        #expect(report.flag("bit_exact") == true)
    }

    @Test func theReferenceWritersAreMeasured() throws {
        let folder = try TemporaryDirectory()
        let report = try bench(folder.path + "/store", ["--baseline", "--baseline-recycled"]).json()
        for key in ["writer_gbps", "writer_recycled_gbps"] {
            #expect(report.object(key).integer("n") == 6 && report.object(key).number("min") ?? 0 > 0)
        }
        #expect(["copied", "straight"].contains(report.text("writer_variant")))
        #expect(try folder.names(in: "").isEmpty)
    }

    @Test func theReferenceWriterOverwritesNothing() throws {
        let folder = try TemporaryDirectory()
        try Data("mine".utf8).write(to: URL(fileURLWithPath: folder.path + "/store.baseline"))
        let run = try bench(folder.path + "/store", ["--baseline-recycled"])
        #expect(run.status == 7 && run.errors.contains("store.baseline"))
        #expect(try folder.names(in: "") == ["store.baseline"])
        #expect(try String(contentsOfFile: folder.path + "/store.baseline", encoding: .utf8) == "mine")
    }

    // MARK: The store

    @Test func aStoreThatIsKeptIsWhole() throws {
        let folder = try TemporaryDirectory()
        let store = folder.path + "/store"
        #expect(try bench(store, ["--keep-store", "--keep-last", "0"]).status == 0)
        #expect(try ckpt("verify", store).status == 0)
        #expect(try ckpt("ls", store, "--json").json().list("checkpoints").map { $0.integer("step") } == [4, 2])
        let parts = try ckpt("inspect", store, "--json").json().object("completeness")
        #expect(["rng", "data", "optimizer"].allSatisfy { parts.object($0).text("state") == "present" })
    }

    @Test func aDirectoryInUseIsLeftAlone() throws {
        let folder = try TemporaryDirectory()
        try Data().write(to: URL(fileURLWithPath: folder.path + "/mine"))
        let run = try bench(folder.path)
        #expect(run.status == 7 && run.output.isEmpty && run.errors.contains("is not empty"))
        #expect(try folder.names(in: "") == ["mine"])
    }

    @Test func anEmptyDirectoryIsUsedAndRemoved() throws {
        let folder = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: folder.path + "/store", withIntermediateDirectories: false)
        #expect(try bench(folder.path + "/store").status == 0)
        #expect(try folder.names(in: "").isEmpty)
    }

    @Test func aFileOfFiguresGoesWithATable() throws {
        let folder = try TemporaryDirectory()
        let file = folder.path + "/figures.json"
        let run = try bench(folder.path + "/store", ["--json", file])
        #expect(run.status == 0 && run.output.hasPrefix("FIGURE") && run.output.contains("\nbit_exact"))
        let data = try Data(contentsOf: URL(fileURLWithPath: file))
        let report = Fields(try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any]))
        #expect(report.flag("bit_exact") == true)
        let other = try bench(folder.path + "/store", ["--json", folder.path + "/no/such/folder"])
        #expect(other.status == 5 && other.output.isEmpty && other.errors.contains("cannot be written"))
    }

    @Test(arguments: [
        ["--steps", "0"], ["--every", "6"], ["--warmup", "-1"], ["--compute-seconds", "nan"], ["--compute-seconds", "-1"],
        ["--compute-threads", "0"], ["--codec", "zstd:99"], ["--arena", "0"], ["--workers", "65"], ["--niceness", "20"],
        ["--keep-last", "-1"], ["--scale", "0"], ["--scale", "1.5"], ["--capture", "hoped"], ["--backpressure", "drop"],
        ["--state", "some.json", "--scale", "0.5"],
    ])
    func settingsOutOfRangeAreBadUsage(_ arguments: [String]) throws {
        let folder = try TemporaryDirectory()
        let run = try bench(folder.path + "/store", arguments)
        #expect(run.status == 2 && run.output.isEmpty && run.errors.contains(arguments[arguments.count == 4 ? 2 : 0]))
        #expect(try folder.names(in: "").isEmpty)
    }
}

import CheckpointFormat
import CheckpointIO
import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation
import Synchronization
import Testing

/// `watch` and `report` on a store that several ranks write.
@Suite(.timeLimit(.minutes(10))) struct RankVerbTests {
    private static let worldSize = 3

    /// Saves steps 1 to 3 with three ranks of this process; `stall` of a rank at a step is known.
    private func save(_ store: String, steps: ClosedRange<Int>, launch: String) throws {
        let failures = Mutex<[String]>([])
        let threads = try (0..<Self.worldSize).map { rank in
            try WorkerThread(name: "rank-\(rank)") {
                do { try train(rank, store, steps, launch) } catch {
                    failures.withLock { $0.append("\(error)") }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 }.isEmpty)
    }

    private func train(_ rank: Int, _ path: String, _ steps: ClosedRange<Int>, _ launch: String) throws {
        let mesh = try RankMesh(["dp": Self.worldSize])
        let shard = try TensorSharding([30, 4]).split(0, over: "dp").shard(of: rank, in: mesh)
        let weight = try OwnedTensor<Float>(repeating: Float(rank), shape: shard.memoryShape)
        let ranks = RankGroup(rank: rank, worldSize: Self.worldSize, launch: launch)
        try withCheckpointer(path, state: TensorState("w", weight.view, of: shard, role: .parameter), ranks: ranks) {
            for step in steps {
                $0.mutate { weight.withElements { $0[0] += 1 } }
                try $0.save(step: step, metrics: ["stall_s": Double(rank) / 100 + Double(step)]).wait()
            }
        }
    }

    @Test func theReportShowsTheStallOfEachRank() throws {
        let directory = try TemporaryDirectory()
        try save(directory.path + "/run", steps: 1...3, launch: "a.0")
        let run = try ckpt("report", directory.path + "/run", "-o", directory.path + "/r.html")
        #expect(run.status == 0, "\(run.errors)")
        let page = try directory.text(of: "r.html")
        let begin = try #require(page.range(of: "id=\"report-data\">"))
        let end = try #require(page.range(of: "</script>", range: begin.upperBound..<page.endIndex))
        let text = page[begin.upperBound..<end.lowerBound]
        let json = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let stalls = try #require(json["rank_stalls"] as? [[String: Any]])
        #expect(stalls.map { $0["step"] as? Int } == [1, 2, 3])
        for (index, stall) in stalls.enumerated() {
            let expected = (0..<3).map { Double($0) / 100 + Double(index + 1) }
            #expect(stall["stall_s"] as? [Double] == expected)
        }
        #expect(page.contains("Stall by rank") && page.contains("rank 2, step 3: "))
    }

    @Test func theCatalogHasWhatRanksHaveSaved() throws {
        let directory = try TemporaryDirectory()
        let store = directory.path + "/run"
        try save(store, steps: 1...3, launch: "a.0")
        let doctor = try ckpt("doctor", store)
        #expect(doctor.status == 0 && !doctor.output.contains("out of date"), "\(doctor)")
        let list = try ckpt("ls", store, "--json")
        #expect(list.output.components(separatedBy: "\"step\"").count == 4, "\(list)")
    }

    @Test func aReportOfOneProcessHasNoRanks() throws {
        let directory = try TemporaryDirectory()
        let weight = try OwnedTensor<Float>(repeating: 1, shape: [4])
        try withCheckpointer(directory.path + "/run", state: TensorState("w", weight.view)) {
            try $0.save(step: 1, metrics: ["stall_s": 1]).wait()
        }
        #expect(try ckpt("report", directory.path + "/run", "-o", directory.path + "/r.html").status == 0)
        let page = try directory.text(of: "r.html")
        #expect(!page.contains("Stall by rank") && page.contains("\"rank_stalls\":[]"))
    }

    @Test func watchShowsTheRanksOfASaveInFlight() throws {
        let directory = try TemporaryDirectory()
        let store = directory.path + "/run"
        try save(store, steps: 1...1, launch: "a.0")
        // Ranks 0 and 2 have begun step 2, rank 2 is durable: by the names of their files.
        let committed = try #require(try FileManager.default.contentsOfDirectory(atPath: store + "/parts").first { AttemptName($0) != nil })
        let last = try #require(AttemptName(committed))
        let next = AttemptName(
            checkpoint: ManifestName(run: last.checkpoint.run, step: 2), attempt: CheckpointID(rawValue: 7))
        let parts = store + "/parts/\(next)"
        try FileManager.default.createDirectory(atPath: parts, withIntermediateDirectories: true)
        let now = Int(Date().timeIntervalSince1970 * 1000)
        func add(_ name: PartName) throws {
            try Data().write(to: URL(fileURLWithPath: parts + "/\(name)"))
        }
        for rank in [0, 2] { try add(.begun(rank: rank, worldSize: 4, milliseconds: now)) }
        try add(.part(rank: 2, worldSize: 4))
        let shown = try ckpt("watch", store, "--once")
        #expect(
            shown.output.contains("step 2: 1 of 4 ranks durable, begun: 0, not begun: 1, 3\n"),
            "\(shown.output)")
        try add(.failed(rank: 0))
        let failed = try ckpt("watch", store, "--once", "--json")
        let event = failed.output.split(separator: "\n").first { $0.contains("\"ranks\"") }
        #expect(
            event == "{\"event\":\"ranks\",\"step\":2,\"world_size\":4,\"begun\":[],\"durable\":[2],\"absent\":[1,3],\"failed\":[0]}",
            "\(failed.output)")
        #expect(try ckpt("watch", store, "--once").output.contains("FAILED: 0"))
        // One that is older than the newest checkpoint, or than a lease, is not in flight.
        let old = AttemptName(
            checkpoint: ManifestName(run: last.checkpoint.run, step: 0), attempt: CheckpointID(rawValue: 8))
        try FileManager.default.moveItem(atPath: parts, toPath: store + "/parts/\(old)")
        #expect(try !ckpt("watch", store, "--once").output.contains("durable"))
        try FileManager.default.moveItem(atPath: store + "/parts/\(old)", toPath: parts)
        let day = 24 * 60 * 60 * 1000
        for rank in [0, 2] {
            try FileManager.default.removeItem(atPath: parts + "/\(PartName.begun(rank: rank, worldSize: 4, milliseconds: now))")
            try add(.begun(rank: rank, worldSize: 4, milliseconds: now - day - 1))
        }
        #expect(try !ckpt("watch", store, "--once").output.contains("durable"))
    }
}

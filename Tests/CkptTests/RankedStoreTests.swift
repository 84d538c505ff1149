import CheckpointFormat
import CheckpointIO
import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation
import Synchronization
import Testing

/// `verify`, `diff`, `export` and `inspect` on stores that several ranks have written.
@Suite(.timeLimit(.minutes(10))) struct RankedStoreTests {
    /// A matrix split along one dimension, and a vector that every rank holds.
    private struct World {
        var size: Int
        var dimension = 0
        /// Added to one element of the matrix.
        var change: Float = 0
        /// The rank whose copy of the vector differs.
        var wrong: Int?

        func train(_ rank: Int, _ path: String, launch: String) throws {
            let mesh = try RankMesh(["tp": size])
            let shard = try TensorSharding([30, 40]).split(dimension, over: "tp").shard(of: rank, in: mesh)
            let matrix = try OwnedTensor<Float>(repeating: 0, shape: shard.memoryShape)
            matrix.withElements { elements in
                for piece in shard.pieces {
                    for (position, place) in zip(positions(piece.elements), positions(piece.localElements)) {
                        elements[place] = Float(position) + (position == 617 ? change : 0)
                    }
                }
            }
            let copy = try TensorSharding([6]).shard(of: rank, in: mesh)
            let vector = try OwnedTensor<Float>(repeating: rank == wrong ? 2 : 1, shape: [6])
            let state = CompositeState {
                TensorState("matrix", matrix.view, of: shard, role: .parameter)
                TensorState("vector", vector.view, of: copy, role: .parameter)
            }
            var options = CheckpointerOptions()
            options.run = "ranks"
            let ranks = RankGroup(rank: rank, worldSize: size, launch: launch)
            try withCheckpointer(path, state: state, options: options, ranks: ranks) {
                try $0.save(step: 1).wait()
            }
        }

        /// Saves step 1; returns the errors of the ranks.
        @discardableResult
        func save(_ path: String, launch: String = "a") throws -> [String] {
            let failures = Mutex<[String]>([])
            let threads = try (0..<size).map { rank in
                try WorkerThread(name: "rank-\(rank)") {
                    do { try train(rank, path, launch: launch) } catch { failures.withLock { $0.append("\(error)") } }
                }
            }
            for thread in threads { thread.join() }
            return failures.withLock { $0 }
        }
    }

    @Test func diffComparesDifferentShardings() throws {
        let directory = try TemporaryDirectory()
        let (a, b, c) = (directory.path + "/a", directory.path + "/b", directory.path + "/c")
        #expect(try World(size: 3).save(a).isEmpty)
        #expect(try World(size: 4, dimension: 1).save(b).isEmpty)
        #expect(try World(size: 2, dimension: 1, change: 1).save(c).isEmpty)
        let same = try ckpt("diff", a, "latest", "latest", "--other-store", b)
        #expect(same.status == 0, "\(same.output) \(same.errors)")
        let different = try ckpt("diff", a, "latest", "latest", "--other-store", c, "--json")
        #expect(different.status == 1)
        let tensors = try different.json().list("tensors")
        #expect(tensors.map { $0.text("change") } == ["content", "equal"], "\(different.output)")
        #expect(tensors[0].object("difference").integer("changed") == 1)
        // Whole tensors come out of shards.
        for store in [a, b] {
            #expect(try ckpt("export", store, "-o", store + ".safetensors").status == 0)
        }
        let files = try [a, b].map { try Data(contentsOf: URL(fileURLWithPath: $0 + ".safetensors")) }
        let bytes = (0..<1200).flatMap { element in
            (0..<4).map { UInt8(truncatingIfNeeded: Float(element).bitPattern >> (8 * UInt32($0))) }
        }
        #expect(files.allSatisfy { $0.range(of: Data(bytes)) != nil })
        #expect(try ckpt("diff", c, "latest", a + ".safetensors").status == 1)
        #expect(try ckpt("diff", b, "latest", a + ".safetensors").status == 0)
    }

    @Test func verifyNamesTheTensorThatARankHasLost() throws {
        let directory = try TemporaryDirectory()
        let store = directory.path + "/run"
        #expect(try World(size: 3).save(store).isEmpty)
        let whole = try ckpt("verify", store)
        #expect(whole.status == 0, "\(whole.output)")
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: store + "/segments").first {
                SegmentName($0)?.rank == 1
            })
        let path = store + "/segments/" + name
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[4096] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        let damaged = try ckpt("verify", store, "--json")
        #expect(damaged.status == 1)
        #expect(damaged.output.contains("matrix") && damaged.output.contains(name), "\(damaged.output)")
        // A part that is missing is damage of the checkpoint.
        try FileManager.default.removeItem(atPath: store + "/parts")
        let missing = try ckpt("verify", store)
        #expect(missing.status == 1 && missing.output.contains("parts/"), "\(missing.output)")
    }

    @Test func verifyTellsWhichCopiesHaveDiverged() throws {
        let directory = try TemporaryDirectory()
        let store = directory.path + "/run"
        #expect(try World(size: 3).save(store, launch: "a").isEmpty)
        let equal = try ckpt("verify", store, "--replicas")
        #expect(equal.status == 0 && equal.output.contains("OK: 1 save of several ranks"), "\(equal.output)")
        let errors = try World(size: 3, wrong: 2).save(store, launch: "b")
        #expect(errors.count == 3 && errors.allSatisfy { $0.contains("tensor vector") }, "\(errors)")
        let diverged = try ckpt("verify", store, "--replicas")
        #expect(diverged.status == 1, "\(diverged.output) \(diverged.errors)")
        #expect(diverged.output.contains("vector") && diverged.output.contains("bytes 0..<24 of 24"), "\(diverged.output)")
        #expect(diverged.output.contains("not committed: 1 difference between ranks"), "\(diverged.output)")
        #expect(diverged.output.contains("DIFFERENT: 2 saves of several ranks"))
        let report = try ckpt("verify", store, "--replicas", "--json").json()
        let differences = report.list("saves").flatMap { $0.list("differences") }
        #expect(differences.map { $0.text("tensor") } == ["vector"], "\(report)")
        // The checkpoint that was committed is as it was, and the other one does not exist.
        #expect(try ckpt("verify", store).status == 0)
        #expect(try ckpt("ls", store, "--json").json().list("checkpoints").count == 1)
    }

    @Test func inspectTellsWhoHeldTheSame() throws {
        let directory = try TemporaryDirectory()
        let store = directory.path + "/run"
        #expect(try World(size: 3, dimension: 1).save(store).isEmpty)
        let text = try ckpt("inspect", store, "--layout").output
        #expect(text.contains("dimension 1: 0 to 39\n"), "\(text)")
        let json = try ckpt("inspect", store, "--layout", "--json").json()
        let tensors = json.list("tensors")
        let matrix = try #require(tensors.first { $0.text("name") == "matrix" }).list("layout")
        #expect(matrix.map { $0.integer("rank") } == [0, 1, 2])
        #expect(matrix.allSatisfy { $0.integers("copies") == [] })
        let vector = try #require(tensors.first { $0.text("name") == "vector" }).list("layout")
        let owner = try #require(vector.first?.integer("rank"))
        let others = (0..<3).filter { $0 != owner }
        #expect(vector.count == 1 && vector[0].integers("copies") == others)
        let list = others.map(String.init).joined(separator: ", ")
        #expect(text.contains("what rank \(owner) saved is also on ranks \(list)\n"), "\(text)")
    }
}

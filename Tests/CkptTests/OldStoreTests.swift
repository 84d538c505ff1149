import CheckpointFormat
import CheckpointState
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// Stores that earlier versions have written: the golden ones of Formats/vectors/stores.
@Suite(.timeLimit(.minutes(20))) struct OldStoreTests {
    private func copy(_ name: String) throws -> (folder: TemporaryDirectory, store: String) {
        let folder = try TemporaryDirectory()
        let golden = checkout.appendingPathComponent("Formats/vectors/stores/\(name)").path
        try FileManager.default.copyItem(atPath: golden, toPath: folder.path + "/store")
        return (folder, folder.path + "/store")
    }

    private func steps(_ store: String) throws -> [Int?] {
        try ckpt("ls", store, "--json").json().list("checkpoints").map { $0.integer("step") }
    }

    @Test func aRunFromBeforeRestartsWereRecordedGoesOn() throws {
        let (folder, store) = try copy("repacked")
        let master = try TensorBuffer(.f32, [20, 30])
        let state = try CompositeState {
            TensorState("master", master.view, role: .optimizer)
            TensorState("weight", try TensorBuffer(.bf16, [20, 30]).view)
        }
        var options = CheckpointerOptions()
        options.run = "repacked"
        try withCheckpointer(store, state: state, options: options) { checkpointer in
            let resumed = try #require(try checkpointer.resume())
            #expect(resumed.step == 30 && resumed.passedOver.isEmpty)
            try checkpointer.save(step: 40).wait()
        }
        let all = try CheckpointStore.open(store).checkpoints().map { try $0.get() }
        #expect(all.map(\.step) == [40, 30, 20, 10])
        #expect(all[0].origin.branch == all[1].run && all[0].origin.restart == 1 && all[0].parent == all[1].id)
        #expect(try ckpt("verify", store).status == 0)
        #expect(try ckpt("prune", store, "--keep-last", "2").status == 0)
        #expect(try steps(store) == [40, 30])
        withExtendedLifetime(folder) {}
    }

    @Test func runsRestartsBranchesImportsAndCopiesAreToldApart() throws {
        let (folder, store) = try copy("restarts")
        let list = try ckpt("ls", store, "--json").json().list("checkpoints")
        #expect(list.map { $0.integer("step") } == [99, 0, 11, 25, 30, 20, 10])
        #expect(list.map { $0.text("origin") } == ["copy", "imported"] + [String](repeating: "training", count: 5))
        // Restarts, and imports of one name, are one run.
        #expect(try ckpt("stats", store, "--json").json().integer("runs") == 2)
        #expect(try ckpt("doctor", store, "--json").json().texts("facts").first == "7 checkpoints of 2 runs; the newest is step 99.")
        #expect(try ckpt("inspect", store, "run:latest", "--json").json().integer("step") == 11)
        var options = CheckpointerOptions()
        options.run = "run"
        let state = try CompositeState { TensorState("weight", try TensorBuffer(.f32, [4, 4]).view) }
        try withCheckpointer(store, state: state, options: options) { checkpointer in
            let resumed = try #require(try checkpointer.resume())
            #expect(resumed.step == 11 && resumed.passedOver.map(\.reason) == [.copied, .imported])
        }
        #expect(try ckpt("prune", store, "--keep-last", "1").status == 0)
        #expect(try steps(store) == [99, 0, 11, 25])
        #expect(try ckpt("prune", store, "--keep-runs", "2").status == 0)
        #expect(try steps(store) == [99, 0])
        withExtendedLifetime(folder) {}
    }
}

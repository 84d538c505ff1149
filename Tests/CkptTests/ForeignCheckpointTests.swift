import CheckpointTestSupport
import Foundation
import Testing

/// What others put into the store of a trainer.
@Suite(.timeLimit(.minutes(10))) struct ForeignCheckpointTests {
    private let folder: TemporaryDirectory
    private var store: String { folder.appending("store") }

    init() throws { folder = try TemporaryDirectory() }

    private func train(_ store: String, steps: Int, run: String) throws -> String {
        let trainer = program.deletingLastPathComponent().appendingPathComponent("ReferenceTrainer")
        let outcome = try execute(
            trainer,
            ["--store", store, "--model", "tiny", "--steps", "\(steps)", "--every", "10", "--run-name", run])
        #expect(outcome.status == 0, "\(outcome)")
        return outcome.output + outcome.errors
    }

    /// An import has no optimizer: a trainer that took it could not go on.
    @Test func anImportIsNotResumedFromAndCanBeRemoved() throws {
        _ = try train(store, steps: 20, run: "mine")
        let weights = folder.appending("weights.safetensors")
        #expect(try ckpt("export", store, "20", "-o", weights).status == 0)
        for step in ["0", "900"] {
            #expect(try ckpt("import", store, weights, "--step", step).status == 0)
        }
        let text = try train(store, steps: 30, run: "mine")
        #expect(text.contains("resumed from step 20"), "\(text)")
        #expect(text.contains("committed step 30"), "\(text)")
        // The last whole checkpoint of a run goes only if that is said.
        for arguments in [["rm", store, "weights:0"], ["rm", store, "900", "--force"]] {
            let removed = try ckpt(arguments)
            #expect(removed.status == 0, "\(removed)")
        }
        #expect(try train(store, steps: 40, run: "mine").contains("resumed from step 30"))
    }

    @Test func aCopyOfALaterStepIsNotResumedFrom() throws {
        let other = folder.appending("other")
        _ = try train(store, steps: 20, run: "mine")
        _ = try train(other, steps: 40, run: "mine")
        #expect(try ckpt("copy", other, store, "latest").status == 0)
        let text = try train(store, steps: 30, run: "mine")
        #expect(text.contains("resumed from step 20"), "\(text)")
    }
}

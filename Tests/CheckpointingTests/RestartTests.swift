import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
import CheckpointState
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

/// Lives of one process after another, in one store.
@Suite("Restarts", .timeLimit(.minutes(20)))
struct RestartTests {
    private let memory = InMemoryFileSystem()

    /// One life: resumes as it is told, saves some steps, and ends.
    @discardableResult
    private func live(
        _ run: String? = "mine", saving steps: [Int] = [], in memory: InMemoryFileSystem? = nil,
        keepLast: Int? = nil, resume: (Checkpointer) throws -> RestoreReport? = { try $0.resume() }
    ) throws -> RestoreReport? {
        let tensors = TestTensors(sizes: [8000])
        var options = smallOptions()
        (options.run, options.keepLast) = (run, keepLast)
        let checkpointer = try Checkpointer(
            store: retrying(while: { $0.code == .busy }) { () throws(CheckpointError) in try openStore(memory ?? self.memory) },
            state: tensors, options: options)
        let report = try resume(checkpointer)
        for step in steps {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        return report
    }

    private func summaries() throws -> [CheckpointSummary] {
        try openStore(memory, for: .reading).checkpoints().map { try $0.get() }
    }

    @Test("a copy and an import in the store are not resumed from, and the report names them")
    func foreign() throws {
        let other = InMemoryFileSystem()
        try live(saving: [50, 60])
        try live("mine", saving: [40], in: other)
        try live("theirs", saving: [45], in: other)
        _ = try openStore(other, for: .reading).copy(to: openStore(memory))
        let resumed = try live()
        #expect(resumed?.step == 60 && resumed?.runName == "mine")
        #expect(resumed?.passedOver.map(\.reason) == [.copied, .copied])
        // Asked for, it is.
        let asked = try live("branch", saving: [41]) { try $0.resume(from: .run("theirs")) }
        #expect(asked?.step == 45)
        let newest = try summaries()[0]
        #expect(newest.step == 41 && newest.parent == asked?.id && newest.runName == "branch")
        // A run that has nothing begins with nothing.
        #expect(try live("new") == nil)
    }

    @Test("a run lives across restarts, which are numbered, and keeps its newest checkpoints")
    func restarts() throws {
        for life in 0..<6 {
            let resumed = try live(saving: [10 * life + 5, 10 * life + 10], keepLast: 2)
            #expect(resumed?.step == (life == 0 ? nil : 10 * life))
        }
        let all = try summaries()
        #expect(all.map(\.step) == [60, 55])
        #expect(all.allSatisfy { $0.origin.restart == 5 && $0.origin.run == all[0].origin.run && $0.runName == "mine" })
        #expect(all[0].origin.branch == all[0].origin.run && all[0].run != all[0].origin.run)
    }

    @Test("a life that resumes from nothing or from an earlier checkpoint begins a branch, and removes nothing of the other")
    func branches() throws {
        try live(saving: [10, 20, 30])
        try live(saving: [5, 6], keepLast: 1) { _ in nil }
        #expect(try summaries().map(\.step) == [6, 30, 20, 10])
        try live(saving: [21], keepLast: 1) { try $0.resume(from: .reference(.step(20))) }
        #expect(try summaries().map(\.step) == [21, 6, 30, 20, 10])
        // The branch saved to last is the one that goes on.
        #expect(try live(saving: [22], keepLast: 1)?.step == 21)
        #expect(try summaries().map(\.step) == [22, 6, 30, 20, 10])
        #expect(Set(try summaries().map(\.origin.run)).count == 1)
    }

    @Test("one process goes back to an earlier step, and saves the steps after it again")
    func rollback() throws {
        let tensors = TestTensors(sizes: [8000])
        var options = smallOptions()
        (options.run, options.keepLast) = ("mine", 2)
        let store = try openStore(memory)
        let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
        func train(to step: Int, _ value: UInt64) throws {
            checkpointer.mutate { tensors.fill(value) }
            try checkpointer.save(step: step).wait()
        }
        for step in [10, 20, 30] { try train(to: step, UInt64(step)) }
        let first = checkpointer.run
        // Without a save in between, a second restore is no new restart.
        try checkpointer.restore(.step(20))
        let second = checkpointer.run
        try checkpointer.restore(.step(20))
        #expect(second > first && checkpointer.run == second)
        try train(to: 30, 99)
        #expect(try checkpointer.resume()?.step == 30)
        try train(to: 40, 100)
        try train(to: 50, 101)
        let bytes = tensors.bytes
        try checkpointer.close()
        let all = try summaries()
        // keepLast counts each branch.
        #expect(all.map(\.step) == [50, 40, 30, 20])
        #expect(all.map(\.origin.restart) == [2, 2, 0, 0])
        #expect(Set(all.map(\.origin.run)).count == 1 && Set(all.map(\.origin.branch)).count == 2)
        #expect(all[1].parent != nil && all[0].origin.branch == second)
        try store.close()
        tensors.fill(0)
        let next = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        #expect(try next.resume()?.step == 50)
        #expect(tensors.bytes == bytes)
        try next.close()
    }

    @Test("after a damaged checkpoint the run goes on in its branch", arguments: ["segment", "manifest"])
    func damaged(_ file: String) throws {
        try live(saving: [10, 20, 30])
        let newest = try summaries()[0]
        let name = file == "manifest" ? newest.name.description : newest.id.description
        let path = try #require(memory.files.keys.first { $0.string.hasSuffix(file) && $0.string.contains(name) })
        var bytes = try #require(memory.files[path])
        bytes[file == "manifest" ? 100 : 5000] ^= 1
        memory.overwrite(path, with: bytes)
        let resumed = try live(saving: [25, 35], keepLast: 3)
        #expect(resumed?.step == 20 && resumed?.skipped.count == 1)
        // Step 30 is behind the line, and goes. A manifest that cannot be read may name any segment:
        // while it is there, nothing goes.
        let left = try openStore(memory, for: .reading).files.names().map(\.step)
        #expect(left == (file == "manifest" ? [10, 20, 30, 25, 35] : [20, 25, 35]))
        let readable = try openStore(memory, for: .reading).checkpoints().compactMap { try? $0.get() }
        #expect(Set(readable.map(\.origin.branch)).count == 1)
        #expect(try live()?.step == 35)
    }

    @Test("a store of several runs asks for a name")
    func names() throws {
        try live("a", saving: [1])
        try live("b", saving: [2])
        #expect(throws: CheckpointError.self) { try live(nil) }
        #expect(try live("a")?.step == 1)
        for name in ["", "a\nb", String(repeating: "x", count: 257)] {
            #expect(throws: CheckpointError.self, "\(name)") { try live(name) }
        }
    }

    @Test("a run that nobody names has the name of the store's directory")
    func unnamed() throws {
        try live(nil, saving: [1])
        #expect(try live(nil)?.runName == "store")
        #expect(try live("store")?.step == 1)
        #expect(try openStore(memory, for: .reading).checkpoint(CheckpointReference("store:latest") ?? .latest).summary.step == 1)
    }

    @Test("every name that does not fit is in the error, and partial restores say what they left out")
    func mismatch() throws {
        func named(_ names: [String]) throws -> CompositeState {
            CompositeState("", children: try names.map { TensorState($0, try TensorBuffer(.f32, [8]).view) })
        }
        let checkpointer = try Checkpointer(
            store: openStore(memory), state: named(["a.weight", "b.weight", "c"]), options: smallOptions())
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        let store = try openStore(memory, for: .reading)
        let state = try named(["a.weight", "b.wieght", "d"])
        let error = try #require(throws: CheckpointError.self) { try store.restore(.latest, into: state) }
        #expect(error.code == .mismatch && error.names == ["b.wieght", "d", "b.weight", "c"])
        #expect(error.message.contains("b.wieght (nearest: b.weight)"), "\(error)")
        let report = try store.restore(.latest, into: state, mode: .partial)
        #expect(report.missing == ["b.wieght", "d"] && report.unused == ["b.weight", "c"] && report.tensorCount == 1)
        // The state lost its optimizer.
        let less = try named(["a.weight"])
        #expect(throws: CheckpointError.self) { try store.restore(.latest, into: less) }
        #expect(try store.restore(.latest, into: less, matching: NamePattern("a.*")).unused == [])
    }
}

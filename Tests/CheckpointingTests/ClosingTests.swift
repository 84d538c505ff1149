import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointState
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

/// The end of stores and checkpointers, and mistakes of training loops that are reported.
@Suite("Closing", .timeLimit(.minutes(20)))
struct ClosingTests {
    private let folder: TemporaryDirectory
    private let tensors = TestTensors(sizes: [8000], groups: ["layer"])

    init() throws { folder = try TemporaryDirectory() }

    @Test("close frees the lock, and a store that is in use by a checkpointer does not close")
    func close() throws {
        let store = try CheckpointStore.open(folder.path + "/s", for: .writing)
        let checkpointer = try Checkpointer(store: store, state: tensors, options: smallOptions())
        #expect(throws: CheckpointError.self) { try store.close() }
        try checkpointer.close()
        let error = try #require(throws: CheckpointError.self) { try CheckpointStore.open(folder.path + "/s", for: .writing) }
        #expect(error.code == .busy && error.message.contains("this process") && error.description.contains("close()"), "\(error)")
        try store.close()
        try store.close()
        let again = try CheckpointStore.open(folder.path + "/s", for: .writing)
        #expect(throws: CheckpointError.self) { try Checkpointer(store: store, state: tensors, options: smallOptions()) }
        #expect(try store.checkpoints().isEmpty)
        withExtendedLifetime(again) {}
    }

    @Test("who holds a lock is told with process, host, command and time")
    func holder() throws {
        let store = try CheckpointStore.open(folder.path + "/s", for: .writing)
        let path = FilePath(folder.path + "/s/writer.lock")
        let holder = try #require(POSIXFileSystem().holder(ofLock: path))
        #expect(holder.isThisProcess && holder.process == Int(getpid()) && !holder.command.isEmpty)
        #expect(LockHolder(decoding: holder.encoded) == holder)
        var other = holder
        (other.process, other.host, other.command) = (1, "node7", "train --lr 1")
        #expect(!other.isThisProcess && other.description.contains("process 1 on node7 (train --lr 1), since 20"))
        for bytes in [[], Array("{}".utf8), Array("[1".utf8), [0, 255, 10]] { #expect(LockHolder(decoding: bytes) == nil) }
        withExtendedLifetime(store) {}
    }

    @Test("a store is made with its parents, and closed however the loop ends")
    func scoped() throws {
        struct Bang: Error {}
        let path = folder.path + "/a/b/c"
        var options = smallOptions()
        options.run = "x"
        #expect(throws: Bang.self) {
            try withCheckpointer(path, state: tensors, options: options) { checkpointer in
                try checkpointer.save(step: 3)
                throw Bang()
            }
        }
        let step = try withCheckpointer(path, state: tensors, options: options) { try $0.resume()?.step }
        #expect(step == 3)
    }

    @Test("mistakes of a loop are reported, once each")
    func advice() throws {
        final class Loop { var step = 0 }
        let loop = Loop()
        let state = CompositeState {
            tensors
            OptimizerState(tensors: [], getStep: { loop.step }, setStep: { loop.step = $0 })
        }
        let warnings = Box<[String]>([])
        var options = smallOptions()
        options.onEvent = { event in if case .warning(let text) = event { warnings.withLock { $0.append(text) } } }
        for life in 0..<2 {
            try withCheckpointer(folder.path + "/s", state: state, options: options) { checkpointer in
                for step in [7 + 10 * life, 8 + 10 * life] {
                    for group in ["layer", "typo", "typo", nil] { checkpointer.mutate(group) { tensors.fill(UInt64(step)) } }
                    try checkpointer.save(step: step).wait()
                }
            }
        }
        #expect(warnings.value.filter { $0.contains("group typo") }.count == 2)
        #expect(warnings.value.filter { $0.contains("does not match optimizer.step, which is 0") }.count == 2)
        #expect(warnings.value.filter { $0.contains("new branch") }.count == 1, "\(warnings.value)")
    }
}

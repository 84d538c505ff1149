import CheckpointFormat
import Checkpointing
import CheckpointState
import Foundation
import CheckpointTestSupport
import Testing

@Suite("Names as bytes", .timeLimit(.minutes(20)))
struct EquivalentNameTests {
    @Test("Names that Unicode holds to be equivalent are saved and restored apart")
    func saveAndRestore() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "ckpt-names-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try CheckpointStore.open(path, for: .writing)
        let (first, second) = (try OwnedBytes([1, 2, 3]), try OwnedBytes([4, 5, 6]))
        let state = CompositeState(children: [
            TensorState("caf\u{E9}", try TensorView(first.lent, type: .u8, shape: [3])),
            TensorState("cafe\u{301}", try TensorView(second.lent, type: .u8, shape: [3])),
            EncodedState("o\u{E9}", freeze: { { [1] } }, restore: { #expect($0 == [1]) }),
            EncodedState("oe\u{301}", freeze: { { [2] } }, restore: { #expect($0 == [2]) }),
        ])
        var options = CheckpointerOptions()
        options.arenaBytes = 1 << 20
        options.chunkBytes = 1 << 16
        let checkpointer = try Checkpointer(store: store, state: state, options: options)
        try checkpointer.save(step: 1)
        try checkpointer.close()
        first.region.fillWithZeros()
        second.region.fillWithZeros()
        let report = try store.restore(.latest, into: state)
        #expect(report.tensorCount == 2 && report.objectCount == 2)
        #expect(first.bytes == [1, 2, 3] && second.bytes == [4, 5, 6])
    }
}

import CheckpointIO
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointStorage
import CheckpointTestSupport
import Testing

/// Counts how often locks are taken for one block of a save. In a process of its own, since other
/// tests take locks too.
@Suite("Lock census", .timeLimit(.minutes(20)))
struct LockCensusTests {
    @Test("a block takes at most 14 locks on its way from the trainer's memory to the disk")
    func perBlock() async {
        let result = await #expect(
            processExitsWith: .success, observing: [\.standardOutputContent]
        ) {
            let few = try LockCensus.locks(forBlocks: 20)
            let many = try LockCensus.locks(forBlocks: 220)
            var sum = 0.0
            for (rank, count) in many {
                let perBlock = Double(count - few[rank, default: 0]) / 200
                if perBlock > 0.05 { print("\(rank): \(perBlock)") }
                sum += perBlock
            }
            print("locks per block: \(sum)")
            precondition(sum <= 14, "\(sum) locks per block")
        }
        print(String(decoding: result?.standardOutputContent ?? [], as: UTF8.self))
    }
}

private enum LockCensus {
    /// Returns the locks that one save of a new state takes, by rank.
    static func locks(forBlocks count: Int) throws -> [LockRank: Int] {
        var options = smallOptions()
        options.deduplicates = true
        options.compression = .fast
        let tensors = TestTensors(sizes: [count * options.chunkBytes])
        tensors.fillPattern(7)
        let directory = try TemporaryDirectory()
        // On a disk, so that the status file is written.
        let store = try CheckpointStore.open(directory.path, for: .writing)
        let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
        let before = taken
        try checkpointer.save(step: 1).wait()
        let after = taken
        try checkpointer.close()
        return Dictionary(
            uniqueKeysWithValues: LockRank.allCases.map {
                ($0, after[$0, default: 0] - before[$0, default: 0])
            })
    }

    private static var taken: [LockRank: Int] {
        Dictionary(uniqueKeysWithValues: LockRank.allCases.map { ($0, HeldLocks.takenCount($0)) })
    }
}

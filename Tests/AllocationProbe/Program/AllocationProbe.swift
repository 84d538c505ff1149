internal import AllocationCounter
internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointTestSupport
internal import Checkpointing
internal import Foundation

/// Counts what all threads allocate while the blocks of a save are captured, encoded and written: `AllocationProbe STORE CODEC`
/// prints, for each save, the number of blocks written and of allocations between the tenth and the last but one. The trainer's thread
/// waits meanwhile, and the state has no objects. Half of the tensors are equal, so that blocks are also found in the save itself.
@main
struct AllocationProbe {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let compression = Compression(arguments[2]) else { exit(2) }
        // The Swift runtime makes the metadata of a generic type at its first use in the process; the
        // allocations of that are no save's. So one checkpointer saves before another is counted.
        try save(1, to: arguments[1] + "-first", compression) { _, _, _ in }
        try save(10, to: arguments[1], compression) { step, blocks, allocations in print(step, blocks, allocations) }
    }

    /// Saves a changing state `count` times, and reports each save's counts.
    private static func save(
        _ count: Int, to store: String, _ compression: Compression, report: (Int, Int, UInt) -> Void
    ) throws {
        let tensors = TestTensors(
            sizes: [Int](repeating: 1 << 20, count: 24) + [Int](repeating: 4096, count: 600), groups: ["a", "b"])
        change(tensors, 0)
        let counts = Monitor(Counts())
        var options = CheckpointerOptions()
        options.chunkBytes = 256 << 10
        options.arenaBytes = 2 << 20
        options.compression = compression
        options.onEvent = { event in
            if case .progress = event { counts.withLock { $0.blockWritten(allocation_count()) } }
        }
        let checkpointer = try Checkpointer(
            store: CheckpointStore.open(store, for: .writing), state: tensors, options: options)
        for step in 1...count {
            counts.withLock { $0 = Counts() }
            try checkpointer.save(step: step).wait()
            checkpointer.mutate { change(tensors, UInt64(step)) }
            let (blocks, allocations) = counts.withLock { ($0.blocks, $0.allocations) }
            report(step, blocks, allocations)
        }
        try checkpointer.close()
    }

    private static func change(_ tensors: TestTensors, _ seed: UInt64) {
        tensors.fillPattern(seed)
        tensors.fill(seed, group: "b")
    }
}

/// The count at each block written. The last one is left out: the save is being committed already when it is told of.
private struct Counts {
    private static let blocksSkipped = 10
    private(set) var blocks = 0
    private var first: UInt = 0
    private var previous: UInt = 0
    private var last: UInt = 0

    var allocations: UInt { previous - first }

    mutating func blockWritten(_ allocations: UInt) {
        blocks += 1
        if blocks == Self.blocksSkipped { first = allocations }
        (previous, last) = (last, allocations)
    }
}

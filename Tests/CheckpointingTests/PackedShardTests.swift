import CheckpointFormat
import CheckpointSharding
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Testing

/// Shards of a type of which four elements share three bytes, and whose chunks are a little smaller
/// than those of other types.
@Suite("Shards of packed types", .timeLimit(.minutes(5)))
struct PackedShardTests: RankedCheckpointing {
    private static let shape = [96, 512]

    @Test("Bytes come in order, whole or in part, and other ranks restore their shards")
    func packed() throws {
        let files = InMemoryFileSystem()
        let options = options()
        let mesh = try RankMesh(["tp": 2])
        let sharding = TensorSharding(Self.shape).split(0, over: "tp")
        var random = SeededGenerator(5)
        let half = 96 * 512 / 4 * 3 / 2
        let parts = (0..<2).map { _ in (0..<half).map { _ in UInt8(random.below(256)) } }
        let errors = try onEachRank(2) { rank in
            let shard = try sharding.shard(of: rank, in: mesh)
            let memory = try OwnedBytes(parts[rank])
            let view = try TensorView(memory.lent, type: .f6e2m3, shape: shard.memoryShape)
            let store = try open(files, rank, of: 2, launch: "packed")
            let checkpointer = try Checkpointer(
                store: store, state: TensorState("w", view, of: shard), options: options)
            try checkpointer.save(step: 1).wait()
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        let store = try openStore(files, for: .reading)
        let checkpoint = try store.checkpoint(.latest)
        #expect(checkpoint.manifest.chunks.count > 4)
        #expect(checkpoint.manifest.chunks.allSatisfy { $0.bytes % 3 == 0 })
        let content = parts[0] + parts[1]
        #expect(try checkpoint.bytes(ofTensor: "w") == content)
        var streamed: [UInt8] = []
        try checkpoint.withBytes(ofTensor: "w") { streamed += $0 }
        #expect(streamed == content)
        for range in [0..<4097, 4095..<4099, half - 1..<half + 1, 5..<content.count - 1, 7..<7] {
            #expect(try checkpoint.bytes(ofTensor: "w", range: range) == Array(content[range]), "\(range)")
        }
        let third = content.count / 3
        let thirds = try RankMesh(["tp": 3])
        for rank in 0..<3 {
            let memory = try OwnedBytes(zeros: third)
            let shard = try sharding.shard(of: rank, in: thirds)
            let view = try TensorView(memory.lent, type: .f6e2m3, shape: shard.memoryShape)
            try store.restore(.latest, into: TensorState("w", view, of: shard))
            #expect(memory.bytes == Array(content[rank * third..<(rank + 1) * third]))
        }
    }
}

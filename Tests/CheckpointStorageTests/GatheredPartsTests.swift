import CheckpointFormat
import CheckpointSharding
import CheckpointStorage
import CheckpointTestSupport
import CheckpointingTestSupport
import Testing

/// How much of a tensor is gathered at once, by the pieces that it was saved in.
@Suite(.timeLimit(.minutes(20))) struct GatheredPartsTests {
    private static let three = [FusedSection](repeating: FusedSection(units: 16, of: 1), count: 3)

    /// Divides a tensor: 100 bytes are the least, and 30 are for each piece around an element.
    private func partBytes(_ checkpoint: CheckpointMaker) -> Int? {
        GatheredParts(
            checkpoint.manifest.tensors[0], checkpoint.manifest, bytes: 100, bytesPerPiece: 30
        ).partBytes
    }

    /// Divides a tensor that a number of ranks save.
    private func partBytes(_ sharding: TensorSharding, _ ranks: Int) throws -> Int? {
        var random = SeededGenerator(1)
        let tensor = TestTensor("w", .u8, sharding, try RankMesh(["tp": ranks]), &random)
        var checkpoint = CheckpointMaker(
            try openStore(InMemoryFileSystem()), step: 1, seed: 1)
        try checkpoint.add(shardsOf: tensor)
        return partBytes(checkpoint)
    }

    @Test("Pieces that follow each other need no more memory, however many there are")
    func following() throws {
        #expect(try partBytes(TensorSharding([64, 4]).split(0, over: "tp"), 32) == 100)
        // The flat ranges of ZeRO and FSDP are no boxes.
        let flat = TensorSharding([7, 11]).flat(at: 3, of: 96, over: "tp")
        #expect(try partBytes(flat, 8) == 100)
        // Each rank has rows of Q, K and V.
        let fused = TensorSharding([48, 4]).fused(0, Self.three, over: "tp")
        #expect(try partBytes(fused, 8) == 100)
    }

    @Test("Columns need memory for a block of each rank")
    func columns() throws {
        #expect(try partBytes(TensorSharding([4, 64]).split(1, over: "tp"), 8) == 240)
        let fused = TensorSharding([4, 48]).fused(1, Self.three, over: "tp")
        #expect(try partBytes(fused, 8) == 30 * 24)
    }

    @Test("Transposed memory, and chunks that end inside elements, are not divided")
    func undivided() throws {
        var random = SeededGenerator(1)
        let whole = try RankMesh([:])
        let store = try openStore(InMemoryFileSystem())
        for (shape, strides, isDivided) in [([4, 8], [8, 1], true), ([8, 4], [1, 8], false)] {
            var checkpoint = CheckpointMaker(store, step: 1, seed: 1)
            try checkpoint.add(
                whole: TestTensor("w", .u8, TensorSharding([4, 8]), whole, &random))
            let piece = ShardPiece(shape: shape, offset: 0, strides: strides)
            checkpoint.change { $0.tensors[0].shards[0].region = .pieces([piece]) }
            #expect(partBytes(checkpoint) == (isDivided ? 100 : nil))
        }
        for (unit, isDivided) in [(3, true), (5, false)] {
            var checkpoint = CheckpointMaker(store, step: 1, seed: 1)
            try checkpoint.add(
                whole: TestTensor("w", .f6e2m3, TensorSharding([64, 16]), whole, &random),
                unit: unit)
            #expect(partBytes(checkpoint) == (isDivided ? 100 : nil))
        }
    }

    @Test("Of pieces that are no boxes, no block is read more than twice")
    func readOnce() throws {
        var random = SeededGenerator(2)
        let sharding = TensorSharding([48, 64]).fused(0, Self.three, over: "tp")
        let tensor = TestTensor("w", .f32, sharding, try RankMesh(["tp": 4]), &random)
        let files = CountingFileSystem(InMemoryFileSystem())
        let store = try openStore(files)
        var checkpoint = CheckpointMaker(store, step: 1, seed: 2)
        try checkpoint.add(shardsOf: tensor)
        try checkpoint.commit()
        let record = checkpoint.manifest.tensors[0]
        #expect(record.shards.allSatisfy { $0.region.box == nil })
        _ = (files.takeReadBytes("segments"), files.takeOpened("segments"))
        // Blocks have up to 144 bytes.
        let stream = TensorStream(
            store: store, manifest: checkpoint.manifest, gatheredBytes: 512,
            gatheredBytesPerPiece: 144)
        var bytes: [UInt8] = []
        _ = try stream.readInOrder(record) { bytes += $0.array }
        #expect(bytes == tensor.content)
        // A thread that opens a segment reads its header page.
        let opened = files.takeOpened("segments")
        #expect(opened >= tensor.content.count / 512)
        let read = files.takeReadBytes("segments") - opened * Limits.pageBytes
        #expect(read >= tensor.content.count && read < 2 * tensor.content.count, "\(read) bytes")
    }
}

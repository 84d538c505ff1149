import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointSharding
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import CheckpointingTestSupport
import Testing

/// Restores of any saved layout into any other.
@Suite("Restore into a requested layout", .timeLimit(.minutes(20)))
struct LayoutRestoreTests {
    private static let types: [ElementType] = [.u8, .bf16, .f32, .i64]
    private static let padding: UInt8 = 0xA5

    /// Restores the shard of one rank, and returns its memory.
    private func restore(
        _ tensor: TestTensor, _ shard: TensorShard, from store: CheckpointStore
    ) throws -> (memory: [UInt8], report: RestoreReport) {
        let count = shard.memoryShape.reduce(1, *) * tensor.type.width
        let memory = try OwnedBytes([UInt8](repeating: Self.padding, count: count))
        let view = try TensorView(memory.lent, type: tensor.type, shape: shard.memoryShape)
        let state = TensorState(tensor.name, view, of: shard)
        let report = try store.restore(.latest, into: state, threads: 1)
        return (memory.bytes, report)
    }

    /// Sizes of the blocks that hold an element of the shard, found element by element.
    private func neededBlocks(_ shard: TensorShard, _ manifest: Manifest) -> [Int] {
        let record = manifest.tensors[0]
        let needed = Set(shard.pieces.flatMap { positions($0.elements) })
        var blocks: Set<Int> = []
        for saved in record.shards {
            var order: [Int] = []
            for piece in saved.region.pieces(in: record.shape) {
                order += positions(piece.elements)
            }
            var start = 0
            for chunk in manifest.chunks[saved.chunks] {
                let end = start + chunk.bytes / record.type.width
                if !needed.isDisjoint(with: order[start..<end]) { blocks.insert(chunk.block) }
                start = end
            }
        }
        return blocks.map { manifest.blocks[$0].storedBytes }
    }

    @Test(
        "Every rank gets its bytes, and reads each block that holds some of them once",
        arguments: Seeds.first(300))
    func anyLayout(_ seed: UInt64) throws {
        var (maker, random) = (RandomSharding(seed), SeededGenerator(seed))
        let shape = maker.shape()
        let (saved, savedMesh) = try maker.saved(shape)
        let (requested, mesh) = try maker.requested(shape)
        let type = Self.types[random.below(Self.types.count)]
        let tensor = TestTensor("w", type, parts: saved, savedMesh, &random)
        let store = try openStore(InMemoryFileSystem())
        var checkpoint = CheckpointMaker(store, step: 1, seed: seed)
        if random.below(3) == 0 {
            try checkpoint.add(whole: tensor)
        } else {
            try checkpoint.add(shardsOf: tensor)
        }
        try checkpoint.commit()
        let manifest = checkpoint.manifest
        let largest = manifest.blocks.map(\.storedBytes).max() ?? 0
        for rank in 0..<mesh.worldSize {
            let shard = try requested.shard(of: rank, in: mesh)
            let (memory, report) = try restore(tensor, shard, from: store)
            #expect(memory == tensor.memory(of: shard, padding: Self.padding), "seed \(seed)")
            let blocks = neededBlocks(shard, manifest)
            #expect(report.readBytes == blocks.reduce(0, +), "seed \(seed), rank \(rank)")
            // Two edges for each run of the shard in a saved shard.
            let source = ReshardSource(
                manifest.tensors[0].shards.map {
                    SavedShard(pieces: $0.region.pieces(in: shape))
                })
            let plan = try ReshardPlan(source, to: shard.pieces, rank: rank, tensor: "w")
            let edges = plan.transfers.reduce(0) { $0 + 2 * $1.neededRuns.count }
            let needed = plan.neededElements * type.width
            #expect(report.readBytes <= needed * 11 / 10 + edges * largest)
            #expect(report.tensorBytes == shard.elementCount * type.width)
        }
    }

    @Test(
        "The bytes of a tensor come in order, from any saved layout, in parts of any size",
        arguments: Seeds.first(200))
    func inOrder(_ seed: UInt64) throws {
        var (maker, random) = (RandomSharding(seed), SeededGenerator(seed))
        let (saved, mesh) = try maker.saved(maker.shape())
        let type = Self.types[random.below(Self.types.count)]
        let tensor = TestTensor("w", type, parts: saved, mesh, &random)
        let store = try openStore(InMemoryFileSystem())
        var checkpoint = CheckpointMaker(store, step: 1, seed: seed)
        // As boxes or as pieces: parts of a tensor are gathered, if nothing is transposed.
        try checkpoint.add(shardsOf: tensor, asBoxes: seed % 2 == 0)
        try checkpoint.commit()
        let manifest = checkpoint.manifest
        let stream = TensorStream(
            store: store, manifest: manifest, gatheredBytes: type.width * (1 + random.below(40)),
            gatheredBytesPerPiece: 0)
        var bytes: [UInt8] = []
        let hash = try stream.readInOrder(manifest.tensors[0]) { bytes += $0.array }
        #expect(bytes == tensor.content, "seed \(seed)")
        #expect(hash == Hashing.digest(tensor.content[...]), "seed \(seed)")
        for _ in 0..<4 where !tensor.content.isEmpty {
            let first = random.below(tensor.content.count + 1)
            let range = first..<first + random.below(tensor.content.count - first + 1)
            #expect(
                try stream.bytes(of: manifest.tensors[0], range) == Array(tensor.content[range]),
                "seed \(seed), \(range)")
        }
    }

    @Test("The files are read for no more than the report says")
    func measured() throws {
        var random = SeededGenerator(1)
        let files = CountingFileSystem(InMemoryFileSystem())
        let sharding = TensorSharding([64, 64]).split(0, over: "tp")
        let tensor = TestTensor("w", .f32, sharding, try RankMesh(["tp": 4]), &random)
        let store = try openStore(files)
        var checkpoint = CheckpointMaker(store, step: 1, seed: 1)
        try checkpoint.add(shardsOf: tensor)
        try checkpoint.commit()
        let mesh = try RankMesh(["tp": 8])
        let shard = try TensorSharding([64, 64]).split(0, over: "tp").shard(of: 3, in: mesh)
        _ = files.takeReadBytes("segments")
        let report = try restore(tensor, shard, from: store).report
        // The header page of the one segment, too.
        #expect(files.takeReadBytes("segments") == report.readBytes + Limits.pageBytes)
        let needed = 64 * 64 * 4 / 8
        #expect(report.readBytes >= needed && report.readBytes < needed + 2 * 3 * 12 * 4)
    }

    @Test("Strict, subset and partial restores differ in the names that they accept")
    func modes() throws {
        var random = SeededGenerator(2)
        let mesh = try RankMesh(["pp": 2])
        let names = ["layers.0", "layers.1"]
        let tensors = try names.map { name in
            TestTensor(name, .u8, TensorSharding([8]), try RankMesh([:]), &random)
        }
        let store = try openStore(InMemoryFileSystem())
        var checkpoint = CheckpointMaker(store, step: 1, seed: 2)
        for tensor in tensors { try checkpoint.add(whole: tensor) }
        try checkpoint.commit()
        let memory = try OwnedBytes(zeros: 8)
        let view = try TensorView(memory.lent, type: .u8, shape: [8])
        let nothing = try TensorView(OwnedBytes(zeros: 0).lent, type: .u8, shape: [0])
        let own = TensorState("layers.1", view)
        // A rank that declares what other stages have is checked for all names.
        let shard = try TensorSharding([8]).only("pp", at: 0).shard(of: 1, in: mesh)
        #expect(shard.isEmpty && shard.memoryShape == [0])
        try store.restore(
            .latest,
            into: CompositeState {
                own
                TensorState("layers.0", nothing, of: shard)
            })
        #expect(memory.bytes == tensors[1].content)
        let strict = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: own)
        }
        #expect(strict?.code == .mismatch && strict?.names == ["layers.0"])
        let report = try store.restore(.latest, into: own, mode: .subset)
        #expect(report.unused == ["layers.0"] && report.missing.isEmpty)
        let unknown = CompositeState {
            own
            TensorState("layers.2", view)
        }
        let subset = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: unknown, mode: .subset)
        }
        #expect(subset?.names == ["layers.2"])
        #expect(try store.restore(.latest, into: unknown, mode: .partial).missing == ["layers.2"])
    }

    /// sglang#36438: a smaller number of ranks loads a part, without an error.
    @Test("Another global shape is refused, and memory that does not fit the shard")
    func misfits() throws {
        var random = SeededGenerator(3)
        let mesh = try RankMesh(["tp": 2])
        let tensor = TestTensor("w", .u8, TensorSharding([8]), try RankMesh([:]), &random)
        let store = try openStore(InMemoryFileSystem())
        var checkpoint = CheckpointMaker(store, step: 1, seed: 3)
        try checkpoint.add(whole: tensor)
        try checkpoint.commit()
        let view = try TensorView(OwnedBytes(zeros: 5).lent, type: .u8, shape: [5])
        let ten = try TensorSharding([10]).split(0, over: "tp").shard(of: 0, in: mesh)
        let shape = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: TensorState("w", view, of: ten))
        }
        #expect(shape?.code == .mismatch && shape?.description.contains("[10]") == true)
        let eight = try TensorSharding([8]).split(0, over: "tp").shard(of: 0, in: mesh)
        let memory = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: TensorState("w", view, of: eight))
        }
        #expect(memory?.description.contains("needs [4]") == true)
        #expect(throws: ShardingError.self) {
            try TensorShard(offset: [6], extent: [4], of: [8])
        }
    }

    @Test("A packed type is restored between bytes and refused inside one")
    func packed() throws {
        var random = SeededGenerator(4)
        let mesh = try RankMesh(["tp": 2])
        let tensor = TestTensor("w", .u4, TensorSharding([4, 4]), try RankMesh([:]), &random)
        let store = try openStore(InMemoryFileSystem())
        var checkpoint = CheckpointMaker(store, step: 1, seed: 4)
        try checkpoint.add(whole: tensor)
        try checkpoint.commit()
        let rank1 = try TensorSharding([4, 4]).split(1, over: "tp").shard(of: 1, in: mesh)
        let memory = try OwnedBytes(zeros: 4)
        let view = try TensorView(memory.lent, type: .u4, shape: [4, 2])
        try store.restore(.latest, into: TensorState("w", view, of: rank1))
        #expect(memory.bytes == [1, 3, 5, 7].map { tensor.content[$0] })
        let odd = try TensorShard(offset: [0, 1], extent: [4, 2], of: [4, 4])
        let error = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: TensorState("w", view, of: odd))
        }
        #expect(error?.description.contains("splits a byte") == true)
    }

    @Test("A tensor whose chunks end inside elements is restored completely, and not divided")
    func cutElements() throws {
        var random = SeededGenerator(5)
        let tensor = TestTensor(
            "w", .f6e2m3, TensorSharding([64, 16]), try RankMesh([:]), &random)
        let store = try openStore(InMemoryFileSystem())
        var checkpoint = CheckpointMaker(store, step: 1, seed: 5)
        try checkpoint.add(whole: tensor, unit: 5)
        try checkpoint.commit()
        #expect(checkpoint.manifest.chunks.contains { $0.bytes % 3 != 0 })
        let half = try TensorSharding([64, 16]).split(0, over: "tp").shard(
            of: 1, in: try RankMesh(["tp": 2]))
        let memory = try OwnedBytes(zeros: tensor.content.count)
        let part = try TensorView(
            memory.lent, type: .f6e2m3, shape: half.memoryShape)
        let error = #expect(throws: CheckpointError.self) {
            try store.restore(.latest, into: TensorState("w", part, of: half))
        }
        #expect(error?.code == .unsupported, "\(String(describing: error))")
        #expect(memory.bytes.allSatisfy { $0 == 0 })
        let view = try TensorView(memory.lent, type: .f6e2m3, shape: [64, 16])
        try store.restore(.latest, into: TensorState("w", view))
        #expect(memory.bytes == tensor.content)
        let stream = TensorStream(
            store: store, manifest: checkpoint.manifest, gatheredBytes: 30,
            gatheredBytesPerPiece: 0)
        let record = checkpoint.manifest.tensors[0]
        var bytes: [UInt8] = []
        _ = try stream.readInOrder(record) { bytes += $0.array }
        #expect(bytes == tensor.content)
        #expect(try stream.bytes(of: record, 4..<301) == Array(tensor.content[4..<301]))
    }
}

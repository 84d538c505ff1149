import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointSharding
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import SystemPackage

/// One save by many ranks, and what one rank of another mesh reads of it: the engine's own code on
/// a simulated shared file system, without tensor data.
struct RankSimulation {
    /// The figures of one save.
    struct Result {
        var worldSize = 0
        /// Sizes of the files that make the checkpoint, in bytes.
        var rootBytes = 0
        var indexBytes = 0
        var partsBytes = 0
        /// Rows of the index.
        var shards = 0
        /// A rank's part: from its segments being durable until its part is.
        var part = (seconds: 0.0, operations: 0)
        /// The publisher: from the last part being durable until the root is.
        var publish = (seconds: 0.0, operations: 0, readBytes: 0)
        /// Another rank: from the root being durable until it knows.
        var learn = (seconds: 0.0, operations: 0, readBytes: 0)
        /// A rank of the other mesh: opening, and planning its reads.
        var open = (seconds: 0.0, operations: 0, readBytes: 0)
        /// What that rank needs, and the bytes and blocks of the reads that give it.
        var needed = (bytes: 0, readBytes: 0, blocks: 0)
    }

    let model: ModelLayout.Model
    let speed: SharedStorage.Speed
    let seed: UInt64

    /// Saves with some number of ranks, and opens with a quarter of it.
    func run(worldSize: Int) throws -> Result {
        var result = Result()
        result.worldSize = worldSize
        let storage = SharedStorage(speed, seed: seed)
        let store = try CheckpointStore(
            fileSystem: storage, root: "/store", access: .writing, catalog: .nowhere)
        let name = ManifestName(run: RunID(rawValue: 1 << 80), step: 1000)
        let attempt = AttemptName(checkpoint: name, attempt: CheckpointID(rawValue: 7))
        let layout = try ModelLayout(model, worldSize: worldSize)
        let maker = PartMaker(layout: layout, store: store.id, attempt: attempt)
        for rank in 1..<worldSize {
            let bytes = try maker.part(of: rank).encoded(digest: Hashing.digest)
            if rank == 1 { try commit(rank, worldSize, attempt, store).begin() }
            let part = PartName.part(rank: rank, worldSize: worldSize)
            try storage.createDurably(store.directories.path(of: part, in: attempt), bytes)
            result.partsBytes += bytes.count
        }
        try publish(maker, store, storage, &result)
        try open(store, storage, name, &result)
        return result
    }

    private func commit(
        _ rank: Int, _ worldSize: Int, _ attempt: AttemptName, _ store: CheckpointStore
    ) -> RankCommit {
        let ranks = RankGroup(rank: rank, worldSize: worldSize, launch: "simulated")
        return RankCommit(
            CommitProtocol(
                fileSystem: store.fileSystem, directories: store.directories,
                catalog: store.catalog),
            attempt: attempt, ranks: ranks, RankMessages(nil))
    }

    private func publish(
        _ maker: PartMaker, _ store: CheckpointStore, _ storage: SharedStorage,
        _ result: inout Result
    ) throws {
        let (worldSize, attempt) = (result.worldSize, maker.attempt)
        let own = try maker.part(of: 0)
        let first = commit(0, worldSize, attempt, store)
        let begun = try storage.measured { try first.begin() }
        let part = try storage.measured {
            let bytes = own.encoded(digest: Hashing.digest)
            let name = PartName.part(rank: 0, worldSize: worldSize)
            let path = store.directories.path(of: name, in: attempt)
            let staged = path.removingLastComponent().appending("0.tmp")
            try storage.createDurably(staged, bytes)
            try storage.link(staged, to: path)
            try storage.syncDirectory(path.removingLastComponent())
            try storage.remove(staged)
            return bytes.count
        }
        result.partsBytes += part.result
        result.part = (
            begun.seconds + part.seconds, begun.counts.operations + part.counts.operations
        )
        try rehearse(worldSize, attempt, store)
        let published = try storage.measured { try first.finish() }
        result.publish = (
            published.seconds, published.counts.operations, published.counts.readBytes
        )
        let learnt = try storage.measured {
            try commit(1, worldSize, attempt, store).finish()
        }
        guard learnt.result == published.result else {
            throw CheckpointError(.damaged, "two ranks know different roots")
        }
        result.learn = (learnt.seconds, learnt.counts.operations, learnt.counts.readBytes)
        let root = try store.files.loadFile(attempt.checkpoint)
        result.rootBytes = root.fileBytes
        result.shards = root.manifest.root?.index.rowCount ?? 0
        result.indexBytes = root.manifest.root?.index.bytes ?? 0
    }

    /// Does the publisher's work once before it is measured: a virtual machine that gives free
    /// memory back to its host takes long for the first use of each page.
    private func rehearse(
        _ worldSize: Int, _ attempt: AttemptName, _ store: CheckpointStore
    ) throws {
        let files = PartFiles(fileSystem: store.fileSystem, directories: store.directories)
        _ = try RootBuilder(files.load(Array(0..<worldSize), of: attempt, worldSize)).build()
    }

    /// Plans the restore of a rank of a mesh with half the ranks for data and a quarter for
    /// tensors.
    private func open(
        _ store: CheckpointStore, _ storage: SharedStorage, _ name: ManifestName,
        _ result: inout Result
    ) throws {
        let layout = try ModelLayout(model, worldSize: max(result.worldSize / 4, 8))
        let rank = layout.mesh.worldSize / 2 + 1
        var shards: [(tensor: ModelLayout.Tensor, shard: TensorShard)] = []
        for tensor in layout.tensors {
            let shard = try tensor.sharding.shard(of: rank, in: layout.mesh)
            if !shard.isEmpty { shards.append((tensor, shard)) }
        }
        // Its pages are never touched: only the plan is made.
        let largest = shards.map { $0.tensor.type.bytes(ofElements: $0.shard.elementCount) }.max()
        let memory = try TensorBuffer(.u8, [largest ?? 1])
        var inventory = StateInventory()
        for (tensor, shard) in shards {
            let view = try TensorView(
                memory.view.memory, type: tensor.type, shape: shard.memoryShape)
            try inventory.add(tensor: tensor.name, view, of: shard, role: tensor.role)
        }
        let items = inventory.tensors
        let opened = try storage.measured {
            var selection = PartFiles.Selection()
            for (tensor, shard) in shards {
                selection.tensors[ByteName(tensor.name)] = .pieces(shard.pieces)
            }
            let manifest = try store.files.load(name, selection).manifest
            return try RestorePlan(manifest, into: items)
        }
        result.open = (opened.seconds, opened.counts.operations, opened.counts.readBytes)
        result.needed = (
            opened.result.tensorBytes, opened.result.readBytes, opened.result.reads.count
        )
    }
}

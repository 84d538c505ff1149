import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointStorage
import CheckpointingTestSupport
import SystemPackage

/// The ranks of one attempt to save a step.
struct RankSave {
    let store: CheckpointStore
    let step: Int
    let worldSize: Int
    var id = CheckpointID.random()
    var timeout = Duration.seconds(30)
    var group: InProcessGroup?

    func ranks(_ rank: Int) -> RankGroup {
        var ranks =
            group.map { RankGroup($0.member(rank)) }
            ?? RankGroup(rank: rank, worldSize: worldSize, launch: "test")
        ranks.timeout = timeout
        return ranks
    }

    func commit(_ rank: Int, _ fileSystem: (any FileSystem)? = nil) -> RankCommit {
        let ranks = ranks(rank)
        let name = ManifestName(run: RunID(rawValue: 1 << 80), step: step)
        return RankCommit(
            CommitProtocol(
                fileSystem: fileSystem ?? store.fileSystem, directories: store.directories,
                catalog: store.catalog),
            attempt: AttemptName(checkpoint: name, attempt: id), ranks: ranks,
            RankMessages(ranks.group))
    }

    func maker(
        _ rank: Int, _ fileSystem: (any FileSystem)? = nil, seed: UInt64 = 0
    ) -> CheckpointMaker {
        CheckpointMaker(
            store, on: fileSystem, step: step, rank: rank, of: worldSize, attempt: id,
            seed: seed &* 1000 &+ UInt64(rank))
    }

    /// Saves the part of a rank: its shards of tensors, and perhaps more.
    func save(
        _ rank: Int, _ tensors: [TestTensor], seed: UInt64 = 0, holdsCopies: Bool = false,
        on fileSystem: (any FileSystem)? = nil,
        _ change: (inout CheckpointMaker) throws -> Void = { _ in }
    ) throws {
        try commit(rank, fileSystem).begin()
        var maker = maker(rank, fileSystem, seed: seed)
        for tensor in tensors where rank < tensor.mesh.worldSize {
            holdsCopies
                ? try maker.add(heldOf: tensor, rank: rank)
                : try maker.add(shardsOf: tensor, rank: rank)
        }
        try change(&maker)
        let (part, sealed) = try maker.seal()
        try commit(rank, fileSystem).publish(part: part, of: sealed)
    }

    var directory: FilePath {
        let name = ManifestName(run: RunID(rawValue: 1 << 80), step: step)
        return store.directories.path(of: AttemptName(checkpoint: name, attempt: id))
    }
}

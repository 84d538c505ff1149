import CheckpointFormat
import CheckpointSharding
import CheckpointState
import CheckpointTestSupport

/// The state of one rank: rows of a matrix, columns of another, a vector that all have, a tensor of
/// one stage, and its own random generator.
struct RankState {
    let rows: OwnedTensor<Float>
    let columns: OwnedTensor<Float>
    let bias: OwnedTensor<Float>
    let stage: OwnedTensor<Float>
    let random = Box(0)
    let shards: [TensorShard]
    let rank: Int
    static let shape = [12, 40]

    init(_ rank: Int, of worldSize: Int) throws {
        self.rank = rank
        let mesh = try RankMesh(["tp": worldSize])
        let whole = TensorSharding(RankState.shape)
        shards = [
            try whole.split(0, over: "tp").shard(of: rank, in: mesh),
            try whole.split(1, over: "tp").padded(0, to: 13).shard(of: rank, in: mesh),
            try TensorSharding([5]).only("tp", at: worldSize - 1).shard(of: rank, in: mesh),
        ]
        rows = try OwnedTensor(repeating: -1, shape: shards[0].memoryShape)
        columns = try OwnedTensor(repeating: -1, shape: shards[1].memoryShape)
        stage = try OwnedTensor(repeating: -1, shape: shards[2].memoryShape)
        bias = try OwnedTensor(repeating: -1, shape: [9])
    }

    var provider: CompositeState {
        CompositeState {
            TensorState("rows", rows.view, of: shards[0])
            TensorState("columns", columns.view, of: shards[1])
            TensorState("stage", stage.view, of: shards[2])
            TensorState("bias", bias.view)
            ObjectState(
                "rng.rank\(rank)", role: .rng, get: { random.value },
                set: { random.value = $0 })
        }
    }

    /// What the rank's memory holds after so many updates, by the global position.
    static func value(_ position: Int, _ step: Int) -> Float { Float(position * 10 + step) }

    private static func expected(_ shard: TensorShard, _ step: Int) -> [Float] {
        var memory = [Float](repeating: -1, count: shard.memoryShape.reduce(1, *))
        for piece in shard.pieces {
            for (position, place) in zip(
                positions(piece.elements), positions(piece.localElements))
            { memory[place] = value(position, step) }
        }
        return memory
    }

    func update(to step: Int) {
        for (tensor, shard) in zip([rows, columns, stage], shards) {
            let values = Self.expected(shard, step)
            tensor.withElements { for index in values.indices { $0[index] = values[index] } }
        }
        bias.withElements { for index in 0..<9 { $0[index] = Self.value(index, step) } }
        random.value = step * 100 + rank
    }

    /// True if nothing has been restored or changed.
    var isNew: Bool {
        [rows, columns, stage, bias].allSatisfy { $0.values.allSatisfy { $0 == -1 } }
            && random.value == 0
    }

    func isAt(_ step: Int) -> Bool {
        zip([rows, columns, stage], shards).allSatisfy { tensor, shard in
            tensor.values == Self.expected(shard, step)
        } && bias.values == (0..<9).map { Self.value($0, step) }
    }
}

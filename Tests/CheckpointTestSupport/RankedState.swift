internal import CheckpointFormat
internal import CheckpointSharding
package import CheckpointState

/// The state of one of several ranks in tests, whose every element tells which save it is of: rows
/// of one tensor, columns of another, a vector that all ranks hold, and the stamp of the save.
package final class RankedState: StateProvider {
    /// Shapes of the complete tensors, by name.
    package static let shapes = ["rows": [7, 700], "columns": [3, 500], "copies": [300]]

    private let shards: [(name: String, shard: TensorShard, memory: OwnedTensor<UInt32>)]
    /// Names the save: what is not of the same save has other elements.
    package private(set) var stamp = "new"

    /// Makes the state of a rank, as of no save.
    ///
    /// - Parameters:
    ///   - rank: number of the rank.
    ///   - worldSize: number of ranks.
    /// - Throws: `ShardingError`, or the error of an allocation.
    package init(rank: Int, of worldSize: Int) throws {
        let mesh = try RankMesh(["tp": worldSize])
        func whole(_ name: String) -> TensorSharding { TensorSharding(Self.shapes[name] ?? []) }
        let shardings = [
            ("rows", whole("rows").split(0, over: "tp")),
            ("columns", whole("columns").split(1, over: "tp")), ("copies", whole("copies")),
        ]
        shards = try shardings.map { name, sharding in
            let shard = try sharding.shard(of: rank, in: mesh)
            return (name, shard, try OwnedTensor(repeating: 0, shape: shard.memoryShape))
        }
        change(to: stamp)
    }

    package func describe(to inventory: inout StateInventory) throws {
        for (name, shard, memory) in shards {
            try TensorState(name, memory.view, of: shard).describe(to: &inventory)
        }
        ObjectState("stamp", get: { [self] in stamp }, set: { [self] in stamp = $0 })
            .describe(to: &inventory)
    }

    /// Changes every element to that of a save.
    package func change(to stamp: String) {
        self.stamp = stamp
        for (name, shard, memory) in shards {
            let seed = Self.seed(name, stamp)
            memory.withElements { elements in
                for piece in shard.pieces {
                    for (position, place) in zip(
                        positions(piece.elements), positions(piece.localElements))
                    { elements[place] = Self.value(position, seed) }
                }
            }
        }
    }

    /// True if every element is that of the save that the stamp names.
    package var isWhole: Bool {
        shards.allSatisfy { name, shard, memory in
            let (seed, values) = (Self.seed(name, stamp), memory.values)
            return shard.pieces.allSatisfy { piece in
                zip(positions(piece.elements), positions(piece.localElements)).allSatisfy {
                    values[$1] == Self.value($0, seed)
                }
            }
        }
    }

    private static func seed(_ name: String, _ stamp: String) -> UInt32 {
        (name + "\n" + stamp).utf8.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }

    private static func value(_ position: Int, _ seed: UInt32) -> UInt32 {
        (UInt32(truncatingIfNeeded: position) &* 2_654_435_761) ^ seed
    }
}

internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSharding
internal import CheckpointState
internal import CheckpointStorage

/// The data that saves share as long as names, types and shapes stay the same.
///
/// Made on the trainer's thread. Any thread reads it; the workers share its codec memory, under a
/// lock.
struct PlannedState: Sendable {
    /// The properties of a state that its plan depends on.
    private struct Layout {
        struct Tensor {
            private let name: String
            private let group: String
            private let type: ElementType
            private let shape: [Int]
            /// Of the complete tensor, if this is a shard.
            private let completeShape: [Int]?
            private let device: ObjectIdentifier?
            private let region: ShardRegion?
            private let holders: [Int]

            init(_ item: TensorItem) {
                (name, group) = (item.name, item.group)
                (type, shape) = (item.view.type, item.view.shape)
                completeShape = item.shard?.shape
                device = item.view.memory.device.map { ObjectIdentifier($0) }
                (region, holders) = (item.region, item.holders)
            }

            /// Returns whether an item has these properties.
            func isThat(of item: borrowing TensorItem) -> Bool {
                name.isSameName(as: item.name) && group == item.group && type == item.view.type
                    && shape == item.view.shape && completeShape == item.shard?.shape
                    && device == item.view.memory.device.map { ObjectIdentifier($0) }
                    && region == item.region && holders == item.holders
            }
        }

        private let tensors: [Tensor]
        private let objects: [ByteName]
        private let fenceOrder: [String]

        init(_ inventory: StateInventory, _ fenceOrder: [String]) {
            tensors = inventory.tensors.map { Tensor($0) }
            objects = inventory.objects.map { ByteName($0.name) }
            self.fenceOrder = fenceOrder
        }

        /// Returns whether a state has these properties. Asked at every save, so nothing is copied.
        func isThat(of inventory: StateInventory, _ fenceOrder: [String]) -> Bool {
            tensors.count == inventory.tensors.count && self.fenceOrder == fenceOrder
                && objects == inventory.objects.map { ByteName($0.name) }
                && tensors.indices.allSatisfy { tensors[$0].isThat(of: inventory.tensors[$0]) }
        }
    }

    private let layout: Layout
    let plan: CapturePlan
    /// Description of the bytes of each block.
    let runs: [[ElementRun]]
    /// Tensors that may be stored as casts.
    let castSources: CastSources
    /// Per tensor, whether another rank saves it.
    let isReplica: [Bool]
    /// Size of the tensors that this process saves, in bytes.
    let savedBytes: Int
    /// Per chunk of the plan the number of chunks before it that this process saves; and the number
    /// of all of them.
    private let savedRows: [Int]
    /// The findings of a codec's trials for each block, kept from save to save.
    private let codecMemories: Monitor<[CodecMemory]>

    /// Plans the capture of a state.
    ///
    /// - Parameters:
    ///   - inventory: the state, with names that are unique.
    ///   - rank: number of this process among those that save together; nil if it saves alone.
    ///   - fenceOrder: groups in the order in which they will be mutated.
    ///   - options: chunk size and mechanisms.
    init(
        _ inventory: StateInventory, of rank: Int?, fenceOrder: [String],
        _ options: CheckpointerOptions
    ) {
        layout = Layout(inventory, fenceOrder)
        let castSources = CastSources(options.dropsCasts ? inventory.tensors : [])
        let tensors = inventory.tensors.enumerated().map { index, tensor in
            CapturePlan.Tensor(
                group: tensor.group, bytes: tensor.view.byteCount, lane: tensor.view.memory.lane,
                isHalf: !castSources[index].isEmpty, width: tensor.view.type.width)
        }
        let plan = CapturePlan(
            tensors: tensors, chunkBytes: options.chunkBytes,
            packs: options.mechanisms.coalesces, groupOrder: fenceOrder)
        (self.plan, self.castSources) = (plan, castSources)
        let isReplica = Self.replicas(inventory, of: rank)
        self.isReplica = isReplica
        savedBytes = inventory.tensors.indices.reduce(0) {
            $0 + (isReplica[$1] ? 0 : inventory.tensors[$1].view.byteCount)
        }
        var (savedRows, count) = ([0], 0)
        savedRows.reserveCapacity(plan.chunks.count + 1)
        for chunk in plan.chunks {
            count += isReplica[chunk.tensor] ? 0 : 1
            savedRows.append(count)
        }
        self.savedRows = savedRows
        runs = plan.blocks.map { block in
            plan.chunks[block.chunks].map { chunk in
                let view = inventory.tensors[chunk.tensor].view
                return ElementRun(chunk.range, of: view.type, shape: view.shape)
            }
        }
        codecMemories = Monitor([CodecMemory](repeating: CodecMemory(), count: plan.blocks.count))
    }

    /// Number of the plan's chunks that this process saves.
    var savedChunkCount: Int { savedRows[savedRows.count - 1] }

    /// Returns the rows in the manifest of consecutive chunks of the plan.
    func savedRows(_ chunks: Range<Int>) -> Range<Int> {
        savedRows[chunks.lowerBound]..<savedRows[chunks.upperBound]
    }

    /// Finds the tensors that another rank saves.
    private static func replicas(_ inventory: StateInventory, of rank: Int?) -> [Bool] {
        let tensors = inventory.tensors
        guard let rank else { return tensors.map { _ in false } }
        let shared = tensors.indices.filter { tensors[$0].holders.count > 1 }
        let owners = OwnerBalance.owners(
            of: shared.map { index in
                let item = tensors[index]
                let first = item.region?.ends(in: item.shape)?.first ?? 0
                return OwnerBalance.Region(
                    tensor: item.name, first: first, bytes: item.view.byteCount,
                    holders: item.holders)
            })
        var isReplica = [Bool](repeating: false, count: tensors.count)
        for (index, owner) in zip(shared, owners) { isReplica[index] = owner != rank }
        return isReplica
    }

    /// Returns true if the plan can be used for a state, which has the same layout.
    func fits(_ inventory: StateInventory, fenceOrder: [String]) -> Bool {
        layout.isThat(of: inventory, fenceOrder)
    }

    /// Gives `body` a block's memory. If two saves use one at the same time, only what the last one
    /// has found is kept, which costs a trial.
    func withCodecMemory<R>(_ block: BlockIndex, _ body: (inout CodecMemory) -> R) -> R {
        var memory = codecMemories.withLock { $0[block.rawValue] }
        let result = body(&memory)
        codecMemories.withLock { $0[block.rawValue] = memory }
        return result
    }
}

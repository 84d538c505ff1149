internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointIO
internal import CheckpointState

/// The data that saves share as long as names, types and shapes stay the same.
struct PlannedState: Sendable {
    let key: PlanKey
    let plan: CapturePlan
    /// Description of the bytes of each block.
    let runs: [[ElementRun]]
    /// Tensors that may be stored as casts.
    let castSources: CastSources
    /// The findings of a codec's trials for each block, kept from save to save.
    private let codecMemories: Monitor<[CodecMemory]>

    init(key: PlanKey, plan: CapturePlan, castSources: CastSources, _ inventory: StateInventory) {
        self.castSources = castSources
        self.key = key
        self.plan = plan
        runs = plan.blocks.map { block in
            plan.chunks[block.chunks].map { chunk in
                let view = inventory.tensors[chunk.tensor].view
                return ElementRun(chunk.range, of: view.type, shape: view.shape)
            }
        }
        codecMemories = Monitor([CodecMemory](repeating: CodecMemory(), count: plan.blocks.count))
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

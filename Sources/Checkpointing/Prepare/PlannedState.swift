internal import CheckpointStorage
internal import CheckpointCodecs
internal import CheckpointIO
internal import CheckpointState

/// All that stays the same from one save to the next while names, types and shapes do.
struct PlannedState: Sendable {
    let key: PlanKey
    let plan: CapturePlan
    /// What the bytes of each block are.
    let runs: [[ElementRun]]
    /// What may be stored as a cast.
    let castSources: CastSources
    let memories: CodecMemories

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
        memories = CodecMemories(blocks: plan.blocks.count)
    }
}

/// What the trials of a codec have found for each block, from save to save.
final class CodecMemories: Sendable {
    private let memories: Monitor<[CodecMemory]>

    init(blocks: Int) { memories = Monitor([CodecMemory](repeating: CodecMemory(), count: blocks)) }

    /// Gives `body` a block's memory. Two saves at once may each see what the other has not kept yet, which costs a trial.
    func use<R>(_ block: Int, _ body: (inout CodecMemory) -> R) -> R {
        var memory = memories.withLock { $0[block] }
        let result = body(&memory)
        memories.withLock { $0[block] = memory }
        return result
    }
}

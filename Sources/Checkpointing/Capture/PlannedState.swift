internal import CheckpointStorage
internal import CheckpointCodecs
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

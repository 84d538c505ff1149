internal import CheckpointCodecs
internal import CheckpointIO

/// The findings of a codec's trials for each block, kept from save to save.
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

internal import CheckpointIO
internal import CheckpointStorage

/// Refuses an arena that is larger than the free memory, before the kernel kills a process to get
/// memory.
///
/// The trainer's thread, when a checkpointer is made. It reads /proc.
enum MemoryPreflight {
    static func check(_ options: CheckpointerOptions) throws(CheckpointError) {
        let needed = max(options.arenaBytes, options.chunkBytes)
        guard let available = SystemMemory.availableBytes, available < needed else { return }
        throw CheckpointError(
            .outOfMemory, "the staging arena needs \(SizeText.of(needed)), but only \(SizeText.of(available)) of memory is free",
            remedy: "Lower arenaBytes (one chunk is enough); training then waits more often")
    }
}

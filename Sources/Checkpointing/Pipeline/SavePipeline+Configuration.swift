internal import CheckpointCodecs
internal import CheckpointState

extension SavePipeline {
    /// Sizes and thread counts of the pipeline.
    struct Configuration {
        var chunkBytes: Int
        /// Number of slots of the arena, spares not counted.
        var slotCount: Int
        /// Number of these that are in memory from the start.
        var touchedCount: Int
        /// Number of workers. Each holds one more slot if blocks are encoded.
        var workers: Int
        var encodes: Bool
        var streams: Bool
        var bytesPerSecond: Int?
        /// Trace track of the trainer's thread.
        var trainer = TraceTrack.none

        var spareCount: Int { encodes ? workers : 0 }

        /// The slot that a worker begins with as its spare; nil if blocks are not encoded.
        func spare(ofWorker worker: Int) -> SlotIndex? {
            encodes ? SlotIndex(slotCount + worker) : nil
        }

        /// A new arena of this size.
        var arena: StagingArena {
            get throws(OutOfMemory) {
                try StagingArena(
                    slotBytes: chunkBytes, slotCount: slotCount + spareCount,
                    untouched: touchedCount..<slotCount)
            }
        }

        init(_ options: CheckpointerOptions, _ budget: ArenaBudget, encodes: Bool) {
            chunkBytes = options.chunkBytes
            slotCount = budget.slotCount
            touchedCount = budget.touchedCount
            workers = options.workers
            self.encodes = encodes
            streams = options.mechanisms.streams
            bytesPerSecond = options.bytesPerSecond
        }
    }
}

internal import CheckpointState

extension SavePipeline {
    /// Sizes and thread counts of the pipeline.
    struct Configuration {
        var chunkBytes: Int
        var slotCount: Int
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

        init(_ options: CheckpointerOptions, encodes: Bool) {
            chunkBytes = options.chunkBytes
            slotCount = max(options.arenaBytes / options.chunkBytes, 1)
            workers = options.workers
            self.encodes = encodes
            streams = options.mechanisms.streams
            bytesPerSecond = options.bytesPerSecond
        }
    }
}

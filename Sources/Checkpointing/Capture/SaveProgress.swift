internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointSegments
internal import CheckpointState

/// The results of a save so far. A plain value, which the pipeline keeps under its own lock: each
/// is added when the block passes from one thread to another, which takes that lock anyway.
struct SaveProgress {
    /// Bytes of the state.
    struct Bytes {
        /// Stored, or found in the store.
        var written = 0
        /// Captured while the trainer was running.
        var live = 0
        /// Captured while the trainer waited.
        var fenced = 0
    }

    /// The place of each block; nil for a block that is not written, or found in the store.
    private(set) var blocks: [PlacedBlock?]
    private(set) var objects = StoredObjects()
    private(set) var bytes = Bytes()
    private(set) var observation: EncodingObservation
    /// Time from the call of `save` until every block was captured.
    var timeToCaptured = Duration.zero
    /// The most arena memory in use since the start of the process, set at the end.
    var arenaHighWaterBytes = 0

    init(_ task: SaveTask) {
        blocks = .init(repeating: nil, count: task.plan.blocks.count)
        observation = EncodingObservation(level: task.encoder.compression)
    }

    /// Stored bytes of everything that was written.
    var newBytes: Int {
        (blocks.compactMap { $0 } + objects.blocks).reduce(0) { $0 + $1.location.storedBytes }
    }

    /// Adds a captured block of `count` bytes.
    mutating func captured(_ block: CapturedBlock, of count: Int, isFenced: Bool) {
        if isFenced { bytes.fenced += count } else { bytes.live += count }
        if block.rawBytes == 0 { bytes.written += count }
    }

    /// Adds an encoded block.
    mutating func encoded(_ block: EncodedBlock, in time: Duration) {
        observation.rawBytes += block.rawBytes
        observation.storedBytes += block.storedBytes
        observation.encodeSeconds += time / .seconds(1)
    }

    /// Adds a written block, which holds `count` bytes of the state.
    mutating func written(
        _ index: BlockIndex, _ block: PlacedBlock, of count: Int, in time: Duration
    ) {
        blocks[index.rawValue] = block
        observation.writtenBytes += block.location.storedBytes
        observation.writeSeconds += time / .seconds(1)
        bytes.written += count
    }

    /// Adds the objects, which are all written.
    mutating func stored(_ objects: StoredObjects) {
        self.objects = objects
        bytes.written += objects.records.reduce(0) { $0 + $1.bytes }
    }
}

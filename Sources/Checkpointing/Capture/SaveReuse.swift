internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage

/// The blocks of earlier checkpoints that one save reuses. Their checkpoints are held: no retention
/// removes them until `end`.
///
/// Any thread that captures.
final class SaveReuse: Sendable {
    private enum Source {
        /// The manifest, open and thereby locked against removal.
        case held(any ReadableFile)
        case gone

        var isHeld: Bool { if case .held = self { true } else { false } }
    }

    private let known: BlockReuse
    /// Chunks that the last save of the same plan found in the store; empty if unknown.
    private let likelyStored: [Bool]
    /// Checkpoints by number; each is opened once.
    private let sources = Monitor<[Int: Source]>([:])

    init(_ known: BlockReuse, likelyStored: [Bool]) {
        self.known = known
        self.likelyStored = likelyStored
    }

    deinit { end() }

    /// Returns true if the store probably has the chunk of a row.
    func isLikelyStored(_ row: Int) -> Bool { row < likelyStored.count && likelyStored[row] }

    /// Returns the location of a chunk in the store, if its checkpoint can be held.
    func find(_ hash: Hash128, bytes: Int) -> StoredChunk? {
        guard let chunk = known.find(hash, bytes: bytes), hold(Int(chunk.source)) else {
            return nil
        }
        return chunk
    }

    /// Returns the block of a chunk that was found.
    func block(_ chunk: StoredChunk) -> (segment: SegmentReference, location: SegmentBlock) {
        known.block(chunk)
    }

    /// Ends the hold: retention may remove the checkpoints again. A second call does nothing.
    func end() {
        let ended = sources.withLock { sources in
            defer { sources = [:] }
            return sources
        }
        for case (let number, .held) in ended { known.release(number) }
    }

    /// Keeps others from removing a checkpoint.
    ///
    /// A manifest is opened outside the lock, so that other capturing threads do not wait for it.
    /// If two threads open one at the same time, the first result counts for both.
    private func hold(_ number: Int) -> Bool {
        if let source = sources.withLock({ $0[number] }) { return source.isHeld }
        let new: Source = known.hold(number).map { .held($0) } ?? .gone
        let (kept, isFirst) = sources.withLock { sources in
            if let first = sources[number] { return (first, false) }
            sources[number] = new
            return (new, true)
        }
        if !isFirst, new.isHeld { known.release(number) }
        return kept.isHeld
    }
}

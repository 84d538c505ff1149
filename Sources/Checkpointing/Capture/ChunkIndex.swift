internal import CheckpointFormat
internal import CheckpointStorage

/// The locations of chunks by hash: an open-addressing table. Every chunk is looked up in it, so a
/// lookup neither allocates nor waits.
struct ChunkIndex: Sendable {
    private struct Entry {
        var hash: Hash128
        var bytes: Int32
        var chunk: StoredChunk
    }

    private static let empty = Entry(hash: Hash128(rawValue: 0), bytes: 0, chunk: StoredChunk(source: 0, block: 0, offset: 0))
    /// A power of two; at most half of it is in use.
    private var entries: [Entry] = []
    private(set) var count = 0

    /// The hash's own low bits are as good as any.
    private func home(of hash: Hash128) -> Int { Int(truncatingIfNeeded: hash.rawValue) & (entries.count - 1) }

    /// Returns the index of the chunk, or of the free place for it.
    private func position(of hash: Hash128, _ bytes: Int32) -> Int {
        var position = home(of: hash)
        while entries[position].bytes != 0, entries[position].hash != hash || entries[position].bytes != bytes {
            position = (position + 1) & (entries.count - 1)
        }
        return position
    }

    func find(_ hash: Hash128, bytes: Int) -> StoredChunk? {
        guard !entries.isEmpty, let bytes = Int32(exactly: bytes) else { return nil }
        let entry = entries[position(of: hash, bytes)]
        return entry.bytes == 0 ? nil : entry.chunk
    }

    /// Adds a chunk, or replaces its location. There must be room for it.
    mutating func insert(_ hash: Hash128, bytes: Int, as chunk: StoredChunk) {
        guard let bytes = Int32(exactly: bytes), bytes > 0 else { return }
        let position = position(of: hash, bytes)
        if entries[position].bytes == 0 { count += 1 }
        precondition(count <= entries.count / 2, "no room was made")
        entries[position] = Entry(hash: hash, bytes: bytes, chunk: chunk)
    }

    /// Makes room for `chunks` more. Entries that `keep` rejects are removed if the table would have to grow otherwise.
    mutating func makeRoom(for more: Int, keep: (StoredChunk) -> Bool) {
        if count + more > entries.count / 2 { rebuild(for: more, keep: keep) }
    }

    /// Removes entries that `keep` rejects, and makes room for more.
    mutating func rebuild(for more: Int, keep: (StoredChunk) -> Bool) {
        let kept = entries.filter { $0.bytes != 0 && keep($0.chunk) }
        var capacity = 1024
        while capacity / 2 < kept.count + more { capacity *= 2 }
        entries = [Entry](repeating: Self.empty, count: capacity)
        count = 0
        for entry in kept { insert(entry.hash, bytes: Int(entry.bytes), as: entry.chunk) }
    }
}

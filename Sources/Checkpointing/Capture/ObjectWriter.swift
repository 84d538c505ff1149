internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState
internal import CheckpointStorage

/// Encodes the objects of a save, off the trainer's thread, and writes them packed into as few
/// blocks as possible.
struct ObjectWriter {
    let task: SaveTask
    let chunkBytes: Int
    /// Returns the location of a block, given its stored size in bytes.
    let place: (Int) -> SegmentLayout.Place

    /// Encodes and writes the objects.
    ///
    /// - Throws: errors of the provider; `SegmentError`.
    func run() throws -> StoredObjects {
        let objects = task.inventory.objects
        var bytes: [UInt8] = []
        var records: [ObjectRecord] = []
        var chunks: [ChunkRecord] = []
        var steps: [(name: String, step: Int)] = []
        for (item, freeze) in zip(objects, task.frozenObjects) {
            let encoded = try translating("object \(item.name)") { try freeze() }
            let first = task.planned.savedChunkCount + chunks.count
            chunks += cut(encoded, at: bytes.count)
            bytes += encoded
            if let step = Self.step(item, encoded) { steps.append((item.name, step)) }
            records.append(
                ObjectRecord(
                    name: item.name, role: item.role, encoding: item.encoding, bytes: encoded.count,
                    chunks: first..<task.planned.savedChunkCount + chunks.count))
        }
        return StoredObjects(
            records: records, chunks: chunks, blocks: try write(bytes), optimizerSteps: steps)
    }

    /// Returns the step of the optimizer, if that is what an object holds.
    private static func step(_ item: ObjectItem, _ bytes: [UInt8]) -> Int? {
        guard item.role == .optimizer, item.name == "step" || item.name.hasSuffix(".step"),
            bytes.count <= 20
        else { return nil }
        return Int(String(decoding: bytes, as: UTF8.self))
    }

    /// Chunks of an object whose bytes start at `start` of all objects' bytes, which are cut into blocks of `chunkBytes`.
    private func cut(_ encoded: [UInt8], at start: Int) -> [ChunkRecord] {
        var chunks: [ChunkRecord] = []
        var position = 0
        while position < encoded.count {
            let offset = (start + position) % chunkBytes
            let count = min(chunkBytes - offset, encoded.count - position)
            chunks.append(
                ChunkRecord(
                    hash: Hashing.digest(encoded[position..<position + count]),
                    block: (start + position) / chunkBytes, offset: offset, bytes: count,
                    epoch: 0))
            position += count
        }
        return chunks
    }

    private func write(_ bytes: [UInt8]) throws -> [PlacedBlock] {
        guard !bytes.isEmpty else { return [] }
        var raw = ScratchBuffer()
        var scratch = ScratchBuffer()
        let regionBytes = roundedUpToPage(min(chunkBytes, bytes.count))
        let region = try raw.region(atLeast: regionBytes).prefix(regionBytes)
        let spare =
            task.encoder.needsSpare
            ? try scratch.region(atLeast: regionBytes).prefix(regionBytes) : nil
        return try stride(from: 0, to: bytes.count, by: chunkBytes).map { start in
            let part = bytes[start..<min(start + chunkBytes, bytes.count)]
            region.store(part)
            let (block, isInSpare) = task.encoder.encode(region, rawBytes: part.count, spare: spare)
            let placed = PlacedBlock(block, at: place(block.storedBytes))
            try task.write(placed, from: isInSpare ? spare ?? region : region)
            return placed
        }
    }
}

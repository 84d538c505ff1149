package import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointSegments

extension Manifest {
    /// Returns the positions of consecutive chunks.
    ///
    /// - Parameter rows: rows of the chunk table: all chunks of one shard or object, in order.
    /// - Returns: one extent per row; the first starts at byte 0.
    package func extents(_ rows: Range<Int>) -> [ChunkExtent] {
        var start = 0
        return rows.map { row in
            defer { start += chunks[row].bytes }
            return ChunkExtent(range: start..<start + chunks[row].bytes, hash: chunks[row].hash, row: row)
        }
    }
}

/// Reads any part of a checkpoint's tensors on one thread.
///
/// Memory use is independent of tensor size: one decoded block is held. Every chunk is checked
/// against the hash taken at capture.
package final class ChunkReader {
    private let source: BlockSource
    private let manifest: Manifest
    private var buffers = BlockSource.Buffers()
    /// The block read last, and its row.
    private var block: DecodedBlock?
    private var blockRow: Int?
    /// Rows of chunks of that block that were compared with their hashes.
    private var checked = Set<Int>()
    /// Raw bytes of the chunks read so far.
    package private(set) var readBytes = 0

    /// Creates a reader; opens no file yet.
    ///
    /// - Parameters:
    ///   - store: the store that holds the checkpoint.
    ///   - manifest: the checkpoint's manifest.
    package init(store: CheckpointStore, manifest: Manifest) {
        source = BlockSource(store: store, manifest: manifest)
        self.manifest = manifest
    }

    /// Fills `destination` with a range of a shard's bytes.
    ///
    /// - Parameters:
    ///   - range: bytes of the shard, within its extents.
    ///   - extents: all chunks of the shard, in order.
    ///   - name: name of the tensor, for the error.
    ///   - destination: at least `range.count` bytes.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`; the error names the tensor.
    package func read(
        _ range: Range<Int>, of extents: [ChunkExtent], name: String, into destination: MemoryRegion
    ) throws(CheckpointError) {
        precondition(destination.count == range.count)
        var position = range.lowerBound
        for extent in extents[Self.first(extents, after: position)...] where position < range.upperBound {
            let end = min(extent.range.upperBound, range.upperBound)
            let start = extent.range.lowerBound
            let chunk = try chunk(extent.row, name)
            destination[position - range.lowerBound..<end - range.lowerBound].copy(from: chunk[position - start..<end - start])
            position = end
        }
        precondition(position == range.upperBound, "a range outside of its shard")
    }

    /// Index of the first extent that ends after `position`.
    private static func first(_ extents: [ChunkExtent], after position: Int) -> Int {
        var (low, high) = (0, extents.count)
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].range.upperBound > position { high = middle } else { low = middle + 1 }
        }
        return low
    }

    private func chunk(_ row: Int, _ name: String) throws(CheckpointError) -> MemoryRegion {
        let record = manifest.chunks[row]
        do {
            let block = try decoded(record.block)
            if checked.contains(row) { return block.raw[record.range] }
            let chunk = try block.chunk(record)
            checked.insert(row)
            readBytes += record.bytes
            return chunk
        } catch {
            var error = CheckpointError(any: error, during: "reading \(name)")
            error.names = [name]
            throw error
        }
    }

    private func decoded(_ row: Int) throws(SegmentError) -> DecodedBlock {
        if row == blockRow, let block { return block }
        (blockRow, block, checked) = (nil, nil, [])
        let read = try source.block(row, &buffers)
        (blockRow, block) = (row, read)
        return read
    }
}

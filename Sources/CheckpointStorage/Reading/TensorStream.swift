package import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointSegments
package import CheckpointState

/// Streams the elements of a checkpoint's tensors, one tensor at a time. Memory use is independent
/// of tensor size. Used by one thread.
package final class TensorStream {
    private let manifest: Manifest
    private let content: ContentReader
    private let reader: ChunkReader
    private var window = ScratchBuffer()
    /// Size of a read in bytes: a multiple of every element's width.
    private static let windowBytes = 1 << 20
    /// Size of the part that is gathered of a tensor of several shards, and for each piece around
    /// an element: the larger of the two.
    private let (gatheredBytes, gatheredBytesPerPiece): (Int, Int)

    /// Creates a stream; opens no file yet.
    ///
    /// - Parameters:
    ///   - store: the store that holds the checkpoint.
    ///   - manifest: the checkpoint's manifest.
    ///   - gatheredBytes: memory for a part of a tensor of several shards.
    ///   - gatheredBytesPerPiece: memory for such a part, for each of the pieces around an element,
    ///     if that is more.
    package init(
        store: CheckpointStore, manifest: Manifest, gatheredBytes: Int = 64 << 20,
        gatheredBytesPerPiece: Int = 4 << 20
    ) {
        self.manifest = manifest
        (self.gatheredBytes, self.gatheredBytesPerPiece) = (gatheredBytes, gatheredBytesPerPiece)
        content = ContentReader(store: store, manifest: manifest)
        reader = ChunkReader(store: store, manifest: manifest)
    }

    /// Raw bytes read so far.
    package var readBytes: Int { reader.readBytes }

    /// Calls `body` with the elements of a tensor, in parts.
    ///
    /// - Parameters:
    ///   - record: the tensor.
    ///   - body: called with at most 1 MiB at a time; shard by shard, in the order of
    ///     each shard.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`, and the error of `body`.
    package func forEachPart(of record: TensorRecord, _ body: (MemoryRegion) throws(CheckpointError) -> Void) throws(CheckpointError) {
        try content.checkShards(record)
        for shard in record.shards {
            let extents = manifest.extents(shard.chunks)
            let whole = 0..<(extents.last?.range.upperBound ?? 0)
            for range in ChunkGrid.windows([whole], of: Self.windowBytes, width: record.type.width) {
                let region = try translating("tensor \(record.name)") { try window.region(atLeast: Self.windowBytes).prefix(range.count) }
                try reader.read(range, of: extents, name: record.name, into: region)
                try body(region)
            }
        }
    }

    /// Calls `body` with the row-major bytes of a tensor, in parts, and hashes them.
    ///
    /// A tensor of several shards or of pieces is gathered, 64 MiB at a time, or 4 MiB for each of
    /// the pieces around one element if that is more. Transposed memory is held completely.
    ///
    /// - Parameters:
    ///   - record: the tensor.
    ///   - body: called with the bytes that follow.
    /// - Returns: the XXH3-128 of all bytes.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`, and the error of `body`.
    package func readInOrder(
        _ record: TensorRecord, _ body: (MemoryRegion) throws(CheckpointError) -> Void = { _ in }
    ) throws(CheckpointError) -> Hash128 {
        var hash = HashStream()
        func take(_ region: MemoryRegion) throws(CheckpointError) {
            hash.append(region)
            try body(region)
        }
        if record.isInOrder {
            try forEachPart(of: record, take)
        } else {
            try content.checkShards(record)
            try gather(0..<record.bytes, of: record, take)
        }
        return hash.value
    }

    /// Calls `body` with row-major bytes of a tensor of several shards or of pieces, in parts.
    ///
    /// - Parameter range: offsets in bytes, within the tensor.
    private func gather(
        _ range: Range<Int>, of record: TensorRecord,
        _ body: (MemoryRegion) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let (width, perUnit) = (record.type.width, record.type.elementsPerUnit)
        let parts = GatheredParts(
            record, manifest, bytes: gatheredBytes, bytesPerPiece: gatheredBytesPerPiece)
        guard let size = parts.partBytes else {
            let whole = try content.tensor(record).region
            for window in ChunkGrid.windows([range], of: Self.windowBytes) {
                try body(whole[window])
            }
            return
        }
        let first = range.lowerBound / width * width
        let end = (range.upperBound + width - 1) / width * width
        for part in ChunkGrid.windows([first..<end], of: size, width: width) {
            let units = part.lowerBound / width..<part.upperBound / width
            let elements = units.lowerBound * perUnit..<units.upperBound * perUnit
            let gathered = try content.elements(elements, of: record).region
            let wanted = part.clamped(to: range)
            let within = wanted.lowerBound - part.lowerBound..<wanted.upperBound - part.lowerBound
            for window in ChunkGrid.windows([within], of: Self.windowBytes) {
                try body(gathered[window])
            }
        }
    }

    /// Reads a range of a tensor's row-major bytes. Only the blocks that hold some of them are
    /// read, unless the memory was transposed.
    ///
    /// - Parameters:
    ///   - record: the tensor.
    ///   - range: offsets in bytes, within the tensor.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func bytes(
        of record: TensorRecord, _ range: Range<Int>
    ) throws(CheckpointError) -> [UInt8] {
        try content.checkShards(record)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        guard record.isInOrder, record.shards.count == 1 else {
            try gather(range, of: record) { bytes += $0.array }
            return bytes
        }
        let extents = manifest.extents(record.shards[0].chunks)
        for part in ChunkGrid.windows([range], of: Self.windowBytes) {
            let region = try translating("tensor \(record.name)") {
                try window.region(atLeast: Self.windowBytes).prefix(part.count)
            }
            try reader.read(part, of: extents, name: record.name, into: region)
            bytes += region.array
        }
        return bytes
    }

    /// Computes minimum, maximum, mean, deviation, norm and counts of a tensor's elements.
    ///
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func statistics(of record: TensorRecord) throws(CheckpointError) -> TensorStatistics {
        var statistics = TensorStatistics()
        try forEachPart(of: record) { statistics.add($0, of: record.type) }
        return statistics
    }

    /// Computes a histogram between a tensor's smallest and largest finite element.
    ///
    /// - Parameters:
    ///   - record: the tensor.
    ///   - statistics: its statistics.
    ///   - bins: number of bins.
    /// - Returns: nil if no element is finite.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func histogram(
        of record: TensorRecord, _ statistics: TensorStatistics, bins: Int
    ) throws(CheckpointError) -> TensorHistogram? {
        guard let range = statistics.range else { return nil }
        return try histogram(of: record, in: range, bins: bins)
    }

    /// Computes a histogram over a given range.
    ///
    /// - Parameters:
    ///   - record: the tensor.
    ///   - range: contains every finite element.
    ///   - bins: number of bins.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func histogram(
        of record: TensorRecord, in range: ClosedRange<Double>, bins: Int
    ) throws(CheckpointError) -> TensorHistogram {
        var histogram = TensorHistogram(range, bins: bins)
        try forEachPart(of: record) { histogram.add($0, of: record.type) }
        return histogram
    }
}

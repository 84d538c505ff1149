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

    package init(store: CheckpointStore, manifest: Manifest) {
        self.manifest = manifest
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
    /// A tensor of several shards or of pieces is held in memory completely during the call.
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
        if !record.isInOrder {
            let tensor = try content.tensor(record)
            for range in ChunkGrid.windows([0..<record.bytes], of: Self.windowBytes) { try take(tensor.region[range]) }
        } else {
            try forEachPart(of: record, take)
        }
        return hash.value
    }

    /// Reads a range of a tensor's row-major bytes. A tensor of several shards or of pieces
    /// is read completely.
    ///
    /// - Parameters:
    ///   - record: the tensor.
    ///   - range: offsets in bytes, within the tensor.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func bytes(
        of record: TensorRecord, _ range: Range<Int>
    ) throws(CheckpointError) -> [UInt8] {
        try content.checkShards(record)
        guard record.isInOrder, record.shards.count == 1 else {
            return try content.tensor(record).region[range].array
        }
        let extents = manifest.extents(record.shards[0].chunks)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
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

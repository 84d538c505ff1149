/// Every maximum of the format (Formats/limits.md). A length that was read from disk is compared
/// with its limit before it is used.
package enum Limits {
    package static let pageBytes = 4096
    package static let chunkBytesDefault = 4 << 20
    package static let blockBytesMax = 64 << 20
    package static let segmentBytesMax = 64 << 30
    package static let segmentBytesDefault = 4 << 30
    package static let blocksPerSegmentMax = 4 << 20
    package static let segmentsPerRankMax = 100_000
    package static let worldSizeMax = 100_000
    package static let segmentsPerManifestMax = 1 << 20
    package static let blocksPerManifestMax = 16 << 20
    package static let chunksPerManifestMax = 32 << 20
    package static let manifestJSONBytesMax = 512 << 20
    package static let manifestBytesMax = 4 << 30
    package static let storeJSONBytesMax = 64 << 10
    package static let jsonDepthMax = 64
    package static let nameBytesMax = 4096
    package static let rankOfTensorMax = 32
    package static let tensorsPerManifestMax = 16 << 20
    package static let piecesPerShardMax = 65536
    package static let runsPerTensorMax = 4 << 20
    package static let metricsMax = 4096
    package static let groupsMax = 65536
    package static let deltaChainMax = 8
    package static let featureNamesMax = 64
    package static let tagBytesMax = 128
    package static let partIndexRowsPerPage = 2048
    package static let partIndexRowsMax = 16 << 20

    /// The table of Formats/limits.md. A test compares the two.
    package static let table: [(name: String, value: Int)] = [
        ("pageBytes", pageBytes), ("chunkBytesDefault", chunkBytesDefault), ("blockBytesMax", blockBytesMax),
        ("segmentBytesMax", segmentBytesMax), ("segmentBytesDefault", segmentBytesDefault),
        ("blocksPerSegmentMax", blocksPerSegmentMax), ("segmentsPerRankMax", segmentsPerRankMax),
        ("worldSizeMax", worldSizeMax), ("segmentsPerManifestMax", segmentsPerManifestMax),
        ("blocksPerManifestMax", blocksPerManifestMax), ("chunksPerManifestMax", chunksPerManifestMax),
        ("manifestJSONBytesMax", manifestJSONBytesMax), ("manifestBytesMax", manifestBytesMax),
        ("storeJSONBytesMax", storeJSONBytesMax), ("jsonDepthMax", jsonDepthMax), ("nameBytesMax", nameBytesMax),
        ("rankOfTensorMax", rankOfTensorMax), ("tensorsPerManifestMax", tensorsPerManifestMax),
        ("piecesPerShardMax", piecesPerShardMax), ("runsPerTensorMax", runsPerTensorMax),
        ("metricsMax", metricsMax), ("groupsMax", groupsMax), ("deltaChainMax", deltaChainMax),
        ("featureNamesMax", featureNamesMax), ("tagBytesMax", tagBytesMax),
        ("partIndexRowsPerPage", partIndexRowsPerPage), ("partIndexRowsMax", partIndexRowsMax),
    ]
}

/// Rounds up to a multiple of the page size.
///
/// - Parameter bytes: A number of bytes from 0 to `Int.max - pageBytes`; anything else traps.
/// - Returns: The smallest multiple of 4096 that is at least `bytes`.
package func roundedUpToPage(_ bytes: Int) -> Int {
    precondition(bytes >= 0 && bytes <= Int.max - Limits.pageBytes)
    return (bytes + Limits.pageBytes - 1) / Limits.pageBytes * Limits.pageBytes
}

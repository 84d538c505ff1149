package import CheckpointFormat

// The plane codecs on memory regions, for callers that do not use pointers.

extension PlanesCodec {
    /// Encodes a block whose types are known: `encode(_:runs:memory:into:)` on regions.
    package func encode(
        _ raw: MemoryRegion, runs: [ElementRun], memory: inout CodecMemory, into stored: MemoryRegion
    ) -> Int? {
        unsafe encode(raw.bytes, runs: runs, memory: &memory, into: stored.mutableBytes)
    }
}

extension DeltaCodec {
    /// Encodes a delta: `encode(_:base:runs:effort:into:)` on regions.
    package func encode(
        _ raw: MemoryRegion, base: MemoryRegion, runs: [ElementRun], effort: PlaneEffort, into stored: MemoryRegion
    ) -> Int? {
        unsafe encode(raw.bytes, base: base.bytes, runs: runs, effort: effort, into: stored.mutableBytes)
    }

    /// Decodes a delta: `decode(_:base:into:)` on regions.
    package func decode(_ stored: MemoryRegion, base: MemoryRegion, into raw: MemoryRegion) throws(CodecError) {
        unsafe try decode(stored.bytes, base: base.bytes, into: raw.mutableBytes)
    }
}

extension BlockCodec {
    /// Encodes a block: `encode(_:into:)` on regions.
    package func encode(_ raw: MemoryRegion, into stored: MemoryRegion) -> Int? {
        unsafe encode(raw.bytes, into: stored.mutableBytes)
    }
}

extension SubBlockReader {
    /// Calls `body` with the header and the rows of every sub-block, without reading payloads.
    ///
    /// - Parameters:
    ///   - stored: A block of codec 3 or 4.
    ///   - codec: The codec.
    ///   - rawBytes: Size of the decoded block in bytes.
    ///   - body: Called for each sub-block, in order.
    /// - Throws: `CodecError` if a header or a row is invalid.
    package static func forEach(
        in stored: MemoryRegion, _ codec: CodecIdentifier, rawBytes: Int, _ body: (SubBlockHeader, [PlaneRow]) -> Void
    ) throws(CodecError) {
        var (reader, left) = (unsafe SubBlockReader(stored.bytes, codec: codec), rawBytes)
        while left > 0 {
            let header = try reader.header(rawLeft: left)
            var rows: [PlaneRow] = []
            for plane in 0..<header.planeCount { rows.append(try reader.row(plane, of: header)) }
            body(header, rows)
            left -= header.rawBytes
            try reader.advance(header.storedBytes(rows.reduce(0) { $0 + $1.storedBytes }))
        }
    }
}

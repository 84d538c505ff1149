package import CheckpointFormat

// The plane codecs over regions, for callers that handle no pointers.

extension PlanesCodec {
    /// `encode(_:runs:memory:into:)`.
    package func encode(
        _ raw: MemoryRegion, runs: [ElementRun], memory: inout CodecMemory, into stored: MemoryRegion
    ) -> Int? {
        unsafe encode(raw.bytes, runs: runs, memory: &memory, into: stored.mutableBytes)
    }
}

extension DeltaCodec {
    /// `encode(_:base:runs:effort:into:)`.
    package func encode(
        _ raw: MemoryRegion, base: MemoryRegion, runs: [ElementRun], effort: PlaneEffort, into stored: MemoryRegion
    ) -> Int? {
        unsafe encode(raw.bytes, base: base.bytes, runs: runs, effort: effort, into: stored.mutableBytes)
    }

    /// `decode(_:base:into:)`.
    package func decode(_ stored: MemoryRegion, base: MemoryRegion, into raw: MemoryRegion) throws(CodecError) {
        unsafe try decode(stored.bytes, base: base.bytes, into: raw.mutableBytes)
    }
}

extension BlockCodec {
    /// `encode(_:into:)`.
    package func encode(_ raw: MemoryRegion, into stored: MemoryRegion) -> Int? {
        unsafe encode(raw.bytes, into: stored.mutableBytes)
    }
}

extension SubBlockReader {
    /// Calls `body` with every sub-block of a block of codec 3 or 4, payloads unread.
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

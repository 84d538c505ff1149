/// A segment that a manifest references (Formats/manifest.md, Segment rows).
package struct SegmentReference: Equatable, Sendable {
    package static let rowBytes = 48

    package var name: SegmentName
    package var fileBytes: Int
    package var trailerHash: Hash128

    /// Creates a reference to a segment.
    ///
    /// - Parameters:
    ///   - name: The segment.
    ///   - fileBytes: Size of the segment's file in bytes.
    ///   - trailerHash: The hash in the segment's trailer.
    package init(name: SegmentName, fileBytes: Int, trailerHash: Hash128) {
        self.name = name
        self.fileBytes = fileBytes
        self.trailerHash = trailerHash
    }

    func encode(to writer: inout ByteWriter) {
        writer.identifier(name.attempt)
        writer.count(UInt32.self, name.rank)
        writer.count(UInt32.self, name.number)
        writer.count(UInt64.self, fileBytes)
        writer.identifier(trailerHash)
    }

    init(from reader: inout ByteReader) throws(FormatError) {
        let attempt = try reader.identifier(CheckpointID.self)
        let rank = try reader.count(UInt32.self, atMost: Limits.worldSizeMax - 1, "rank")
        let number = try reader.count(UInt32.self, atMost: Limits.segmentsPerRankMax - 1, "number")
        name = SegmentName(attempt: attempt, rank: rank, number: number)
        let start = reader.offset
        fileBytes = try reader.count(UInt64.self, atMost: Limits.segmentBytesMax, "fileBytes")
        guard fileBytes % Limits.pageBytes == 0, fileBytes >= 2 * Limits.pageBytes else {
            throw .damage(at: start, "a segment cannot have \(fileBytes) bytes")
        }
        trailerHash = try reader.identifier()
    }
}

/// The first page of a segment file (Formats/segment.md, Header page).
package struct SegmentHeader: Equatable, Sendable {
    package static let version: UInt16 = 1
    private static let hashOffset = Limits.pageBytes - 16

    package var name: SegmentName
    package var store: StoreID

    /// Creates the header of a segment.
    ///
    /// - Parameters:
    ///   - name: The segment, as in the file's name.
    ///   - store: The store that the segment belongs to.
    package init(name: SegmentName, store: StoreID) {
        self.name = name
        self.store = store
    }

    /// Checks that the header belongs to a file with this name.
    ///
    /// - Throws: Damage at the field that differs.
    package func check(isFor expected: SegmentName) throws(FormatError) {
        guard name.rank == expected.rank else {
            throw .damage(at: 12, "rank \(name.rank) is not that of the file's name")
        }
        guard name.number == expected.number else {
            throw .damage(at: 16, "number \(name.number) is not that of the file's name")
        }
        guard name.attempt == expected.attempt else {
            throw .damage(at: 40, "attempt \(name.attempt) is not that of the file's name")
        }
    }

    /// Returns the header page: 4096 bytes, the last 16 of them the hash of the others.
    package func encoded(digest: Digest) -> [UInt8] {
        var writer = ByteWriter(capacity: Limits.pageBytes)
        writer.magic("CKPTSEGM")
        writer.integer(Self.version)
        writer.zeros(2)
        writer.count(UInt32.self, name.rank)
        writer.count(UInt32.self, name.number)
        writer.zeros(4)
        writer.identifier(store)
        writer.identifier(name.attempt)
        writer.zeros(Self.hashOffset - 56)
        writer.identifier(digest(writer.bytes[...]))
        return writer.bytes
    }

    /// Decodes a header page.
    ///
    /// - Parameters:
    ///   - bytes: The start of the file; at least one page.
    ///   - digest: The hash function.
    /// - Throws: Damage or unsupported, at the field.
    package init(decoding bytes: ArraySlice<UInt8>, digest: Digest) throws(FormatError) {
        var reader = ByteReader(bytes)
        try reader.expect(magic: "CKPTSEGM")
        guard bytes.count >= Limits.pageBytes else {
            throw .damage(at: bytes.count, "truncated: the header page has \(bytes.count) bytes")
        }
        let page = bytes.prefix(Limits.pageBytes)
        var hashReader = ByteReader(page.suffix(16), origin: Self.hashOffset)
        guard try hashReader.identifier(Hash128.self) == digest(page.dropLast(16)) else {
            throw .damage(at: Self.hashOffset, "the header page does not match its hash")
        }
        _ = try reader.version(upTo: Self.version, of: "segment")
        try reader.expectZeros(2, "reserved0")
        let rank = try reader.count(UInt32.self, atMost: Limits.worldSizeMax - 1, "rank")
        let number = try reader.count(UInt32.self, atMost: Limits.segmentsPerRankMax - 1, "number")
        try reader.expectZeros(4, "reserved1")
        store = try reader.identifier()
        name = SegmentName(attempt: try reader.identifier(), rank: rank, number: number)
        try reader.expectZeros(Self.hashOffset - 56, "padding")
    }
}

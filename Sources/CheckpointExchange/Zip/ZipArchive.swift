internal import CheckpointFormat
internal import SystemPackage

/// The directory of a zip archive (PKWARE APPNOTE 6.3.10, with zip64). Every length in it is
/// checked: entries that overlap, are outside the archive, or share a name are refused before
/// anything is read from them.
struct ZipArchive {
    struct Entry: Sendable {
        var name: String
        var isDeflated: Bool
        /// Byte range of the stored entry in the file.
        var range: Range<Int>
        /// Size in bytes after inflating.
        var size: Int
        var crc32: UInt32
    }

    let file: ForeignFile
    private(set) var entries: [Entry] = []
    private let origin: Int

    /// Reads the directory of an archive.
    ///
    /// - Parameters:
    ///   - file: the file.
    ///   - range: byte range of the archive in the file.
    /// - Throws: `ExchangeError` if the archive is damaged or not supported.
    init(_ file: ForeignFile, _ range: Range<Int>) throws(ExchangeError) {
        self.file = file
        origin = range.lowerBound
        do throws(FormatError) {
            let end = try Self.end(file, range)
            try readDirectory(end)
        } catch {
            let message = "zip archive: \(error.message)"
            throw error.kind == .damage
                ? .damage(file.path.string, message, remedy: "Copy or download it again")
                : .refused(file.path.string, message)
        }
        try checkDisjoint()
    }

    /// Byte range of the central directory in the archive, and the number of its entries.
    private struct Directory {
        var entryCount: Int
        var range: Range<Int>
    }

    private static func read(_ file: ForeignFile, _ offset: Int, _ count: Int) throws(FormatError)
        -> [UInt8]
    {
        do throws(ExchangeError) { return try file.read(count: count, at: offset) } catch {
            throw .damage(at: offset, error.message)
        }
    }

    /// Finds the end record, which a comment of up to 65535 bytes may follow.
    private static func end(_ file: ForeignFile, _ range: Range<Int>) throws(FormatError)
        -> Directory
    {
        // Most archives have no comment.
        if range.count >= 22 {
            let bytes = try read(file, range.upperBound - 22, 22)
            if bytes.starts(with: [0x50, 0x4B, 5, 6]), bytes.suffix(2).elementsEqual([0, 0]) {
                return try directory(file, range, endOffset: range.count - 22, bytes[...])
            }
        }
        let tail = min(range.count, 22 + 65_535)
        let bytes = try read(file, range.upperBound - tail, tail)
        for start in stride(from: tail - 22, through: 0, by: -1)
        where bytes[start...].starts(with: [0x50, 0x4B, 5, 6]) {
            guard Int(bytes[start + 20]) + Int(bytes[start + 21]) << 8 == tail - start - 22 else {
                continue
            }
            return try directory(
                file, range, endOffset: range.count - tail + start, bytes[start...])
        }
        throw .damage(at: range.lowerBound, "it has no end record; the file may be truncated")
    }

    private static func directory(
        _ file: ForeignFile, _ range: Range<Int>, endOffset: Int, _ bytes: ArraySlice<UInt8>
    ) throws(FormatError) -> Directory {
        var reader = ByteReader(bytes)
        _ = try reader.take(8)
        var (here, total) = (
            Int(try reader.integer(UInt16.self)), Int(try reader.integer(UInt16.self))
        )
        var (size, offset) = (
            Int(try reader.integer(UInt32.self)), Int(try reader.integer(UInt32.self))
        )
        var limit = endOffset
        if total == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF, endOffset >= 20 {
            var locator = ByteReader(try read(file, range.lowerBound + endOffset - 20, 20)[...])
            if try locator.take(4).elementsEqual([0x50, 0x4B, 6, 7]) {
                _ = try locator.take(4)
                limit = try locator.count(
                    UInt64.self, atMost: endOffset - 20, "offset of the zip64 end record")
                var record = ByteReader(
                    try read(file, range.lowerBound + limit, min(56, endOffset - limit))[...])
                guard try record.take(4).elementsEqual([0x50, 0x4B, 6, 6]) else {
                    throw .damage(at: limit, "the zip64 end record is missing")
                }
                _ = try record.take(20)
                here = try record.count(
                    UInt64.self, atMost: ExchangeLimits.zipEntriesMax, "number of entries")
                total = try record.count(
                    UInt64.self, atMost: ExchangeLimits.zipEntriesMax, "number of entries")
                size = try record.count(UInt64.self, atMost: limit, "size of the central directory")
                offset = try record.count(
                    UInt64.self, atMost: limit, "offset of the central directory")
            }
        }
        guard here == total, total <= ExchangeLimits.zipEntriesMax else {
            throw .damage(at: endOffset, "its \(total) entries are split over several files")
        }
        guard size <= ExchangeLimits.zipDirectoryBytesMax else {
            throw .unsupported(at: endOffset, "its central directory has \(size) bytes, "
                    + "more than \(ExchangeLimits.zipDirectoryBytesMax)")
        }
        guard offset <= limit, size <= limit - offset else {
            throw .damage(at: endOffset, "its central directory is outside the file")
        }
        return Directory(entryCount: total, range: offset..<offset + size)
    }

    private mutating func readDirectory(_ directory: Directory) throws(FormatError) {
        let bytes = try Self.read(file, origin + directory.range.lowerBound, directory.range.count)
        var reader = ByteReader(bytes[...], origin: directory.range.lowerBound)
        var names = Set<[UInt8]>()
        for _ in 0..<directory.entryCount {
            let (entry, name) = try entry(&reader, before: directory.range.lowerBound)
            guard names.insert(name).inserted else {
                throw .damage(at: reader.offset, "two entries have the name \(quoted(entry.name))")
            }
            entries.append(entry)
        }
    }

    /// Reads one entry of the directory.
    private func entry(_ reader: inout ByteReader, before limit: Int) throws(FormatError) -> (
        Entry, [UInt8]
    ) {
        let start = reader.offset
        guard try reader.take(4).elementsEqual([0x50, 0x4B, 1, 2]) else {
            throw .damage(at: start, "an entry of the central directory is damaged")
        }
        _ = try reader.take(4)
        let (flags, method) = (try reader.integer(UInt16.self), try reader.integer(UInt16.self))
        _ = try reader.take(4)
        let crc = try reader.integer(UInt32.self)
        var fields: [Int] = []
        fields.append(Int(try reader.integer(UInt32.self)))
        fields.append(Int(try reader.integer(UInt32.self)))
        let lengths = (
            try reader.integer(UInt16.self), try reader.integer(UInt16.self),
            try reader.integer(UInt16.self)
        )
        _ = try reader.take(8)
        fields.append(Int(try reader.integer(UInt32.self)))
        let name = Array(try reader.take(Int(lengths.0)))
        try Self.readZip64(try reader.take(Int(lengths.1)), start, &fields)
        _ = try reader.take(Int(lengths.2))
        let (stored, size, offset) = (fields[0], fields[1], fields[2])

        guard let text = String(validating: name, as: UTF8.self), !name.contains(0) else {
            throw .unsupported(at: start, "the name of an entry is not UTF-8")
        }
        guard flags & 1 == 0 else {
            throw .unsupported(at: start, "entry \(quoted(text)) is encrypted")
        }
        guard method == 0 || method == 8 else {
            throw .unsupported(
                at: start, "entry \(quoted(text)) has unknown compression method \(method)")
        }
        guard method == 8 || stored == size else {
            throw .damage(
                at: start,
                "entry \(quoted(text)) is not compressed, but has \(stored) of \(size) bytes")
        }
        let data = try dataOffset(offset, name, text, before: limit)
        guard stored <= limit - data else {
            throw .damage(at: start, "entry \(quoted(text)) overlaps the central directory")
        }
        let range = origin + data..<origin + data + stored
        return (
            Entry(name: text, isDeflated: method == 8, range: range, size: size, crc32: crc), name
        )
    }

    /// Reads the zip64 extra field, which holds those of stored size, size and offset that do not
    /// fit in 32 bits.
    private static func readZip64(_ extra: ArraySlice<UInt8>, _ start: Int, _ fields: inout [Int])
        throws(FormatError)
    {
        var reader = ByteReader(extra, origin: start)
        while reader.remaining >= 4 {
            let (id, count) = (try reader.integer(UInt16.self), try reader.integer(UInt16.self))
            var field = ByteReader(try reader.take(Int(count)), origin: start)
            guard id == 1 else { continue }
            // In the order of the specification: size, stored size, offset.
            for index in [1, 0, 2] where fields[index] == 0xFFFF_FFFF {
                fields[index] = try field.count(UInt64.self, atMost: .max >> 1, "size of an entry")
            }
        }
    }

    /// Returns the offset of an entry's bytes in the archive, after its local header, which must
    /// have the same name.
    private func dataOffset(
        _ offset: Int, _ name: [UInt8], _ text: String, before limit: Int
    ) throws(FormatError) -> Int {
        guard offset <= limit, limit - offset >= 30 + name.count else {
            throw .damage(at: offset, "entry \(quoted(text)) is outside the file")
        }
        let header = try Self.read(file, origin + offset, 30 + name.count)
        guard header.starts(with: [0x50, 0x4B, 3, 4]), header[30...].elementsEqual(name),
            Int(header[26]) + Int(header[27]) << 8 == name.count
        else {
            throw .damage(at: offset, "the header of entry \(quoted(text)) is missing or damaged")
        }
        let data = offset + 30 + name.count + Int(header[28]) + Int(header[29]) << 8
        guard data <= limit else {
            throw .damage(at: offset, "entry \(quoted(text)) is outside the file")
        }
        return data
    }

    /// Refuses entries that share bytes, because sharing lets a small archive expand without limit.
    private func checkDisjoint() throws(ExchangeError) {
        var end = 0
        for entry in entries.sorted(by: {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }) {
            guard entry.range.lowerBound >= end else {
                throw .damage(
                    file.path.string, "zip archive: entry \(quoted(entry.name)) overlaps another")
            }
            end = entry.range.upperBound
        }
    }
}

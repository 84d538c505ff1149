/// The directory of the file that lists the shards of each rank (Formats/manifest.md, Index of
/// shards). The file has one row for each shard, in order, and is read and checked page by page.
package struct PartIndex: Equatable, Sendable {
    /// A page of the file: `partIndexRowsPerPage` rows, the last page perhaps fewer.
    package struct Page: Equatable, Sendable {
        /// Tensor of the first row.
        package var tensor: Int
        /// First position of the first row.
        package var first: Int
        /// Greatest last position of all rows.
        package var last: Int
        /// Hash of the page.
        package var hash: Hash128
    }

    /// Hash of the complete file, which is its name.
    package var hash: Hash128
    /// Number of rows.
    package var rowCount: Int
    package var pages: [Page]

    /// Encodes the file.
    ///
    /// - Parameters:
    ///   - rows: The rows, sorted and distinct.
    ///   - digest: The hash function.
    /// - Returns: The directory, and the bytes of the file.
    package static func encoded(
        _ rows: [PartIndexRow], digest: Digest
    ) -> (index: PartIndex, bytes: [UInt8]) {
        precondition(rows.count <= Limits.partIndexRowsMax)
        var writer = ByteWriter(capacity: rows.count * PartIndexRow.bytes)
        for row in rows { row.encode(to: &writer) }
        let bytes = writer.bytes
        let size = Limits.partIndexRowsPerPage
        let pages = stride(from: 0, to: rows.count, by: size).map { start in
            let end = min(start + size, rows.count)
            return Page(
                tensor: rows[start].tensor, first: rows[start].first,
                last: rows[start..<end].reduce(0) { max($0, $1.last) },
                hash: digest(bytes[start * PartIndexRow.bytes..<end * PartIndexRow.bytes]))
        }
        let index = PartIndex(hash: digest(bytes[...]), rowCount: rows.count, pages: pages)
        return (index, bytes)
    }

    private init(hash: Hash128, rowCount: Int, pages: [Page]) {
        (self.hash, self.rowCount, self.pages) = (hash, rowCount, pages)
    }

    /// Size of the file in bytes.
    package var bytes: Int { rowCount * PartIndexRow.bytes }

    /// Returns the bytes of a page in the file.
    ///
    /// - Parameter page: Number of the page.
    package func range(ofPage page: Int) -> Range<Int> {
        let size = Limits.partIndexRowsPerPage * PartIndexRow.bytes
        return page * size..<min((page + 1) * size, bytes)
    }

    /// Returns the pages that may have rows of shards with some of a range of elements.
    ///
    /// - Parameters:
    ///   - tensor: Row of the tensor in the manifest.
    ///   - elements: First and last position.
    /// - Returns: Numbers of pages, ascending.
    package func pages(
        of tensor: Int, in elements: ClosedRange<Int>
    ) -> [Int] {
        // Pages ascend by tensor and first position: the last one that begins before the range may
        // have rows of it, and so may all that follow until one begins after it.
        var (low, high) = (0, pages.count)
        while low < high {
            let middle = (low + high) / 2
            if pages[middle].tensor < tensor { low = middle + 1 } else { high = middle }
        }
        var found: [Int] = []
        for number in max(low - 1, 0)..<max(pages.count, 1) where number < pages.count {
            let page = pages[number]
            if (page.tensor, page.first) > (tensor, elements.upperBound) { break }
            if page.last >= elements.lowerBound { found.append(number) }
        }
        return found
    }

    /// Decodes a page of the file.
    ///
    /// - Parameters:
    ///   - bytes: The page.
    ///   - page: Its number.
    ///   - worldSize: Number of ranks.
    ///   - tensors: Number of tensors.
    ///   - digest: The hash function.
    /// - Returns: The rows.
    /// - Throws: Damage, with the offset in the file.
    package func rows(
        decoding bytes: ArraySlice<UInt8>, page: Int, worldSize: Int, tensors: Int, digest: Digest
    ) throws(FormatError) -> [PartIndexRow] {
        let range = range(ofPage: page)
        guard bytes.count == range.count, digest(bytes) == pages[page].hash else {
            throw .damage(at: range.lowerBound, "page \(page) of the index does not match its hash")
        }
        var reader = ByteReader(bytes, origin: range.lowerBound)
        var rows: [PartIndexRow] = []
        for _ in 0..<range.count / PartIndexRow.bytes {
            let start = reader.offset
            let row = try PartIndexRow(from: &reader, worldSize: worldSize, tensors: tensors)
            guard rows.last.map({ $0 < row }) ?? true else {
                throw .damage(at: start, "the rows of the index are not in order")
            }
            rows.append(row)
        }
        let last = rows.reduce(0) { max($0, $1.last) }
        guard rows.first?.tensor == pages[page].tensor, rows.first?.first == pages[page].first,
            last == pages[page].last
        else {
            throw .damage(at: range.lowerBound, "page \(page) does not match its entry in the manifest")
        }
        return rows
    }

    var json: JSONValue {
        .object([
            .init("hash", .hex(hash)), .init("rows", .count(rowCount)),
            .init(
                "pages",
                .array(
                    pages.map { page in
                        .object([
                            .init("tensor", .count(page.tensor)),
                            .init("first", .count(page.first)), .init("last", .count(page.last)),
                            .init("hash", .hex(page.hash)),
                        ])
                    })),
        ])
    }

    init(_ value: JSONValue, tensors: Int, offset: Int) throws(FormatError) {
        let fields = try JSONFields(value, "index", offset: offset)
        hash = try fields.identifier("hash")
        rowCount = try fields.count("rows", atMost: Limits.partIndexRowsMax)
        pages = []
        let size = Limits.partIndexRowsPerPage
        let pageCount = (rowCount + size - 1) / size
        for (number, value) in try fields.array("pages", atMost: pageCount).enumerated() {
            let page = try JSONFields(value, "index page \(number)", offset: offset)
            pages.append(
                Page(
                    tensor: try page.count("tensor", atMost: max(tensors - 1, 0)),
                    first: try page.count("first"), last: try page.count("last"),
                    hash: try page.identifier("hash")))
        }
        guard pages.count == pageCount else {
            throw fields.error("\(pages.count) pages do not fit \(rowCount) rows")
        }
        let places = pages.map { ($0.tensor, $0.first) }
        guard zip(places, places.dropFirst()).allSatisfy({ $0 <= $1 }) else {
            throw fields.error("its pages are not in order")
        }
    }
}

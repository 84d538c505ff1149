/// The pages of a file that were written, for parts of one size.
///
/// A page that is written in pieces counts as not written: the part that has it is known to be
/// complete only when the file is.
struct PageMap {
    /// Size of a page in bytes.
    static let pageBytes = 4096
    private let pagesPerPart: Int
    /// Of each part with a page that was written, one bit a page.
    private var words: [Int: [UInt64]] = [:]

    /// Creates a map without pages.
    ///
    /// - Parameter partBytes: size of a part in bytes, a multiple of that of a page.
    init(partBytes: Int) {
        precondition(partBytes > 0 && partBytes % Self.pageBytes == 0, "a page is in two parts")
        pagesPerPart = partBytes / Self.pageBytes
    }

    /// Notes that bytes were written.
    ///
    /// - Parameter range: the bytes.
    /// - Returns: the parts that have become complete, ascending.
    mutating func insert(_ range: Range<Int>) -> [Int] {
        let first = (range.lowerBound + Self.pageBytes - 1) / Self.pageBytes
        let end = range.upperBound / Self.pageBytes
        guard first < end else { return [] }
        var complete: [Int] = []
        for part in first / pagesPerPart...(end - 1) / pagesPerPart {
            let start = part * pagesPerPart
            let pages = max(first, start) - start..<min(end, start + pagesPerPart) - start
            if fill(pages, of: part) { complete.append(part) }
        }
        return complete
    }

    /// - Returns: true if the part was not complete, and is now.
    private mutating func fill(_ pages: Range<Int>, of part: Int) -> Bool {
        var bits = words[part] ?? [UInt64](repeating: 0, count: (pagesPerPart + 63) / 64)
        let before = bits.reduce(0) { $0 + $1.nonzeroBitCount }
        for page in pages { bits[page / 64] |= 1 << (page % 64) }
        words[part] = bits
        let after = bits.reduce(0) { $0 + $1.nonzeroBitCount }
        return before < after && after == pagesPerPart
    }
}

internal import Glibc

/// A range of full pages of the process's memory: at least one page.
package struct PageRange: Hashable, Sendable {
    /// Size of a page in bytes: 4096, or the kernel's build-time choice.
    package static let pageSize = UInt(sysconf(Int32(_SC_PAGESIZE)))

    /// Address of the first byte; a multiple of the page size.
    package let start: UInt
    /// Address after the last byte; a multiple of the page size.
    package let end: UInt

    /// Finds the full pages inside a range of addresses.
    ///
    /// - Parameters:
    ///   - start: address of the first byte.
    ///   - byteCount: size of the range in bytes.
    /// - Returns: nil if the range contains no full page.
    package init?(inside start: UInt, byteCount: Int) {
        let size = Self.pageSize
        let first = (start + size - 1) / size * size
        let end = (start + UInt(byteCount)) / size * size
        guard first < end else { return nil }
        self.init(start: first, end: end)
    }

    /// Creates a range of pages.
    ///
    /// - Parameters:
    ///   - start: address of the first byte.
    ///   - end: address after the last byte.
    /// - Precondition: both are multiples of the page size, with at least one page between them.
    package init(start: UInt, end: UInt) {
        precondition(start < end && start % Self.pageSize == 0 && end % Self.pageSize == 0, "not whole pages: \(start) to \(end)")
        self.start = start
        self.end = end
    }

    package var byteCount: Int { Int(end - start) }

    package var pageCount: Int { byteCount / Int(Self.pageSize) }

    package func contains(_ address: UInt) -> Bool { start <= address && address < end }

    /// Returns the pages that are in both ranges.
    ///
    /// - Parameter other: another range.
    /// - Returns: the common pages; nil if the ranges do not overlap.
    package func intersection(_ other: PageRange) -> PageRange? {
        let (start, end) = (max(start, other.start), min(end, other.end))
        return start < end ? PageRange(start: start, end: end) : nil
    }
}

extension PageRange: CustomStringConvertible {
    package var description: String { "0x\(String(start, radix: 16))-0x\(String(end, radix: 16))" }
}

/// A set of pages as the minimum number of ranges: they ascend and are not adjacent. One
/// userfaultfd call per range is the minimum number of calls that covers no page outside the set.
struct PageSet: Equatable, Sendable {
    private(set) var ranges: [PageRange] = []

    init(_ ranges: [PageRange] = []) {
        for range in ranges.sorted(by: { $0.start < $1.start }) {
            if let last = self.ranges.last, last.end >= range.start {
                self.ranges[self.ranges.count - 1] = PageRange(start: last.start, end: max(last.end, range.end))
            } else {
                self.ranges.append(range)
            }
        }
    }

    func union(_ other: PageSet) -> PageSet { PageSet(ranges + other.ranges) }

    func intersection(_ other: PageRange) -> [PageRange] {
        ranges.drop { $0.end <= other.start }.prefix { $0.start < other.end }.compactMap { $0.intersection(other) }
    }

    func subtracting(_ other: PageSet) -> PageSet {
        var kept = PageSet()
        var cuts = other.ranges[...]
        for range in ranges {
            var start = range.start
            while let cut = cuts.first, cut.start < range.end {
                if start < cut.start { kept.ranges.append(PageRange(start: start, end: cut.start)) }
                start = max(start, cut.end)
                if cut.end > range.end { break }  // the cut may also overlap the next range
                cuts.removeFirst()
            }
            if start < range.end { kept.ranges.append(PageRange(start: start, end: range.end)) }
        }
        return kept
    }
}

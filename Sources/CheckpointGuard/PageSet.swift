internal import Glibc

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

@testable internal import CheckpointGuard
internal import CheckpointTestSupport
internal import Testing

@Suite(.timeLimit(.minutes(20)))
struct PageRangeTests {
    private let size = PageRange.pageSize

    @Test func wholePagesInside() {
        let range = PageRange(inside: 3 * size + 1, byteCount: Int(4 * size))
        #expect(range == PageRange(start: 4 * size, end: 7 * size))
        #expect(range?.pageCount == 3 && range?.byteCount == Int(3 * size))
        #expect(PageRange(inside: 3 * size, byteCount: Int(size)) == PageRange(start: 3 * size, end: 4 * size))
        #expect(PageRange(inside: 3 * size, byteCount: Int(size) - 1) == nil)
        #expect(PageRange(inside: 3 * size + 1, byteCount: Int(2 * size) - 2) == nil)
        #expect(PageRange(inside: 3 * size, byteCount: 0) == nil)
    }

    @Test func contains() {
        let range = PageRange(start: 2 * size, end: 4 * size)
        #expect(range.contains(2 * size) && range.contains(4 * size - 1))
        #expect(!range.contains(2 * size - 1) && !range.contains(4 * size))
    }

    /// The same as sets of page numbers, and in the fewest ranges.
    @Test(arguments: Seeds.first(200))
    func setsOfPages(seed: UInt64) {
        var generator = SeededGenerator(seed)
        let (left, right) = (ranges(&generator), ranges(&generator))
        let (a, b) = (PageSet(left), PageSet(right))
        #expect(pages(a) == Set(left.flatMap(numbers)))
        #expect(pages(a.union(b)) == pages(a).union(pages(b)))
        #expect(pages(a.subtracting(b)) == pages(a).subtracting(pages(b)))
        for range in right { #expect(Set(a.intersection(range).flatMap(numbers)) == pages(a).intersection(numbers(range))) }
        for set in [a, b, a.union(b), a.subtracting(b)] {
            #expect(zip(set.ranges, set.ranges.dropFirst()).allSatisfy { $0.end < $1.start })
        }
    }

    private func ranges(_ generator: inout SeededGenerator) -> [PageRange] {
        (0..<generator.below(12)).map { _ in
            let start = UInt(1 + generator.below(60))
            return PageRange(start: start * size, end: (start + 1 + UInt(generator.below(8))) * size)
        }
    }

    private func numbers(_ range: PageRange) -> Set<UInt> { Set(range.start / size..<range.end / size) }

    private func pages(_ set: PageSet) -> Set<UInt> { Set(set.ranges.flatMap(numbers)) }
}

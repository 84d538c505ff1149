internal import CheckpointGuard
internal import CheckpointStorage

/// The pages of a snapshot's blocks in the process's memory: which pages can be guarded, which blocks a page is part of,
/// and which pages can be released with a block. Pure arithmetic on addresses.
///
/// A page is guarded if every byte of it is state, of one tensor if requested. Other bytes (the
/// ends of a tensor, small tensors) share their page with data that the trainer may write at any
/// time, and are copied at `save`.
struct GuardMap {
    /// A contiguous chunk.
    struct Piece: Equatable {
        var addresses: Range<UInt>
        var tensor: Int
        var chunk: Int
        var block: Int
    }

    /// Bytes of a chunk that cannot be guarded.
    struct Fragment: Equatable {
        var chunk: Int
        /// Range in the chunk's bytes.
        var range: Range<Int>
    }

    /// Pieces by ascending address. They may overlap: tied weights share memory.
    let pieces: [Piece]
    /// The pages that can be guarded, ascending; adjacent ones are merged into one range.
    private(set) var pages: [PageRange] = []
    private(set) var fragments: [Fragment] = []
    /// Highest end address of each piece and all pieces before it.
    private let reach: [UInt]
    private let piecesOfBlock: [Int: [Int]]

    /// Computes the map.
    ///
    /// - Parameters:
    ///   - unordered: the pieces, in any order.
    ///   - sharesPages: whether a page with bytes of several tensors may be guarded. A write to
    ///     such a page does not show which tensor changes.
    init(_ unordered: [Piece], sharesPages: Bool = true) {
        pieces = unordered.filter { !$0.addresses.isEmpty }.sorted { $0.addresses.lowerBound < $1.addresses.lowerBound }
        var reach: [UInt] = []
        var piecesOfBlock: [Int: [Int]] = [:]
        for (index, piece) in pieces.enumerated() {
            reach.append(max(reach.last ?? 0, piece.addresses.upperBound))
            piecesOfBlock[piece.block, default: []].append(index)
        }
        self.reach = reach
        self.piecesOfBlock = piecesOfBlock
        divide(sharesPages)
    }

    /// Finds the ranges of memory that are completely state, and the complete pages in each.
    private mutating func divide(_ sharesPages: Bool) {
        var start = 0
        for index in pieces.indices where isEndOfStretch(index, sharesPages) {
            let stretch = pieces[start].addresses.lowerBound..<reach[index]
            let whole = PageRange(inside: stretch.lowerBound, byteCount: Int(stretch.upperBound - stretch.lowerBound))
            if let whole { pages.append(whole) }
            for piece in pieces[start...index] { addFragments(of: piece, beside: whole) }
            start = index + 1
        }
    }

    private func isEndOfStretch(_ index: Int, _ sharesPages: Bool) -> Bool {
        guard index + 1 < pieces.count else { return true }
        let next = pieces[index + 1]
        if next.addresses.lowerBound < reach[index] { return false }
        return next.addresses.lowerBound > reach[index] || (!sharesPages && next.tensor != pieces[index].tensor)
    }

    private mutating func addFragments(of piece: Piece, beside whole: PageRange?) {
        let (first, end) = (whole?.start ?? piece.addresses.upperBound, whole?.end ?? piece.addresses.upperBound)
        for part in [piece.addresses.clamped(to: 0..<first), piece.addresses.clamped(to: end..<UInt.max)] where !part.isEmpty {
            let offset = Int(part.lowerBound - piece.addresses.lowerBound)
            fragments.append(Fragment(chunk: piece.chunk, range: offset..<offset + part.count))
        }
    }

    /// Returns the indices of the pieces with bytes in a range of addresses.
    private func indices(overlapping range: Range<UInt>) -> [Int] {
        // Finds the first piece that begins at or after the end of the range.
        var (low, high) = (0, pieces.count)
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].addresses.lowerBound < range.upperBound { low = middle + 1 } else { high = middle }
        }
        var found: [Int] = []
        while low > 0, reach[low - 1] > range.lowerBound {
            low -= 1
            if pieces[low].addresses.upperBound > range.lowerBound { found.append(low) }
        }
        return found
    }

    /// Returns the blocks with bytes on the page of an address.
    func blocks(onPageOf address: UInt) -> [Int] {
        let page = Self.pages(around: address..<address + 1)
        return Set(indices(overlapping: page.start..<page.end).map { pieces[$0].block }).sorted()
    }

    /// Returns the chunks with bytes on these pages.
    func chunks(on pages: [PageRange]) -> [Int] {
        Set(pages.flatMap { indices(overlapping: $0.start..<$0.end) }.map { pieces[$0].chunk }).sorted()
    }

    /// Returns the guarded pages of a block that no uncaptured block has bytes on.
    ///
    /// - Parameters:
    ///   - block: the block, which was captured.
    ///   - isCaptured: returns true for a block that was captured.
    func pagesOut(after block: Int, isCaptured: (Int) -> Bool) -> [PageRange] {
        (piecesOfBlock[block] ?? []).flatMap { index in
            var out = guarded(Self.pages(around: pieces[index].addresses))
            for other in out.flatMap({ indices(overlapping: $0.start..<$0.end) }) where !isCaptured(pieces[other].block) {
                let kept = Self.pages(around: pieces[other].addresses)
                out = out.flatMap { $0.subtracting(kept) }
            }
            return out
        }
    }

    /// Returns the guarded pages with bytes of any of these chunks.
    func pages(ofChunksWhere isWanted: (Int) -> Bool) -> [PageRange] {
        pieces.filter { isWanted($0.chunk) }.flatMap { guarded(Self.pages(around: $0.addresses)) }
    }

    /// Returns the guarded pages of a range.
    private func guarded(_ range: PageRange) -> [PageRange] {
        var (low, high) = (0, pages.count)
        while low < high {
            let middle = (low + high) / 2
            if pages[middle].end <= range.start { low = middle + 1 } else { high = middle }
        }
        return pages[low...].prefix { $0.start < range.end }.compactMap { $0.intersection(range) }
    }

    /// Returns the pages with bytes of a range of addresses, which must not be empty.
    private static func pages(around range: Range<UInt>) -> PageRange {
        let size = PageRange.pageSize
        return PageRange(start: range.lowerBound / size * size, end: (range.upperBound + size - 1) / size * size)
    }
}

extension PageRange {
    fileprivate func subtracting(_ other: PageRange) -> [PageRange] {
        guard intersection(other) != nil else { return [self] }
        var rest: [PageRange] = []
        if start < other.start { rest.append(PageRange(start: start, end: other.start)) }
        if other.end < end { rest.append(PageRange(start: other.end, end: end)) }
        return rest
    }
}

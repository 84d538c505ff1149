import CheckpointGuard
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

/// Against a model that knows of every byte by itself.
@Suite("Guard map", .timeLimit(.minutes(20)))
struct GuardMapTests {
    private static let page = PageRange.pageSize

    /// Random chunks in a few pages: some touch, some overlap, some are far apart.
    private func pieces(_ random: inout SeededGenerator) -> [GuardMap.Piece] {
        var pieces: [GuardMap.Piece] = []
        var next = Self.page * 16 + UInt(random.below(3000))
        for chunk in 0..<1 + random.below(12) {
            switch random.below(4) {
            case 0: next += UInt(random.below(9000))
            case 1 where next > Self.page * 17: next -= UInt(random.below(600))
            default: break
            }
            let size = UInt([0, 8, 500, 4096, 5000, 13_000, 8192][random.below(7)])
            if random.below(5) == 0 { next = (next + Self.page - 1) / Self.page * Self.page }
            pieces.append(.init(addresses: next..<next + size, tensor: chunk / 3, chunk: chunk, block: chunk / 2))
            next += size
        }
        return pieces.shuffled(using: &random)
    }

    private func bytes(_ ranges: [PageRange]) -> Set<UInt> { Set(ranges.flatMap { $0.start..<$0.end }) }

    @Test("pages are guarded if all their bytes are state, and all other bytes are fragments", arguments: Seeds.first(60))
    func division(seed: UInt64) {
        var random = SeededGenerator(seed)
        let pieces = pieces(&random)
        let map = GuardMap(pieces)
        let state = Set(pieces.flatMap(\.addresses))
        let whole = Set(state.map { $0 / Self.page }).filter { page in
            (page * Self.page..<(page + 1) * Self.page).allSatisfy(state.contains)
        }
        let guarded = bytes(map.pages)
        #expect(guarded == Set(whole.flatMap { $0 * Self.page..<($0 + 1) * Self.page }))
        for piece in pieces {
            let frozen = map.fragments.filter { $0.chunk == piece.chunk }.flatMap { fragment in
                fragment.range.map { piece.addresses.lowerBound + UInt($0) }
            }
            #expect(frozen.count == Set(frozen).count)
            #expect(Set(frozen) == Set(piece.addresses).subtracting(guarded))
        }
    }

    @Test("on request a page is guarded only if one tensor has all its bytes, or those that share it overlap", arguments: Seeds.first(60))
    func pagesOfOneTensor(seed: UInt64) {
        var random = SeededGenerator(seed)
        let pieces = pieces(&random)
        let map = GuardMap(pieces, sharesPages: false)
        let guarded = bytes(map.pages)
        let alone = Set(pieces.map(\.tensor)).map { tensor in Set(pieces.filter { $0.tensor == tensor }.flatMap(\.addresses)) }
        for page in Set(guarded.map { $0 / Self.page }) {
            let bytes = Set(page * Self.page..<(page + 1) * Self.page)
            let there = alone.filter { !$0.isDisjoint(with: bytes) }
            #expect(there.count == 1 || there.contains { one in there.contains { $0 != one && !$0.isDisjoint(with: one) } })
        }
        for piece in pieces {
            let frozen = map.fragments.filter { $0.chunk == piece.chunk }.reduce(0) { $0 + $1.range.count }
            #expect(frozen == Set(piece.addresses).subtracting(guarded).count)
        }
    }

    @Test("a page is out exactly when the last block with bytes on it is", arguments: Seeds.first(60))
    func release(seed: UInt64) {
        var random = SeededGenerator(seed)
        let pieces = pieces(&random)
        let map = GuardMap(pieces)
        var captured: Set<Int> = []
        var out: Set<UInt> = []
        for block in Set(pieces.map(\.block)).shuffled(using: &random) {
            captured.insert(block)
            out.formUnion(bytes(map.pagesOut(after: block) { captured.contains($0) }))
            let held = Set(pieces.filter { !captured.contains($0.block) }.flatMap(\.addresses).map { $0 / Self.page })
            for page in Set(map.pages.flatMap { stride(from: $0.start, to: $0.end, by: Int(Self.page)) }) {
                #expect(out.contains(page) == !held.contains(page / Self.page), "seed \(seed), block \(block)")
            }
        }
    }

    @Test("what lies on a page is found from any of its addresses", arguments: Seeds.first(60))
    func lookup(seed: UInt64) {
        var random = SeededGenerator(seed)
        let pieces = pieces(&random)
        let map = GuardMap(pieces)
        for range in map.pages {
            for page in stride(from: range.start, to: range.end, by: Int(Self.page)) {
                let bytes = page..<page + Self.page
                let there = pieces.filter { $0.addresses.overlaps(bytes) && !$0.addresses.isEmpty }
                #expect(map.blocks(onPageOf: page + UInt(random.below(4096))) == Set(there.map(\.block)).sorted())
                #expect(map.chunks(on: [PageRange(start: page, end: page + Self.page)]) == Set(there.map(\.chunk)).sorted())
            }
        }
        let even = Set(pieces.filter { $0.chunk % 2 == 0 }.flatMap(\.addresses).map { $0 / Self.page })
        let expected = bytes(map.pages).filter { even.contains($0 / Self.page) }
        #expect(bytes(map.pages { $0 % 2 == 0 }) == expected)
    }
}

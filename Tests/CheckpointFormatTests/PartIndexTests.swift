import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Testing

@Suite("Index of the shards of several ranks", .timeLimit(.minutes(20)))
struct PartIndexTests {
    /// Rows of random shards of some tensors.
    private func rows(_ seed: UInt64, count: Int) -> [PartIndexRow] {
        var random = SeededGenerator(seed)
        let rows = (0..<count).map { _ in
            let (first, rank) = (random.below(1000), random.below(40))
            return PartIndexRow(
                first: first, last: first + (first + rank) % 50, tensor: random.below(6),
                rank: rank, record: random.below(3), shard: random.below(3))
        }
        return Set(rows).sorted()
    }

    @Test(
        "The pages of a range have every row that meets it, and few others",
        arguments: Seeds.first(60))
    func pages(_ seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let rows = rows(seed, count: 1 + random.below(20000))
        let (index, bytes) = PartIndex.encoded(rows, digest: Hashing.digest)
        #expect(bytes.count == index.bytes)
        for _ in 0..<20 {
            let (tensor, start) = (random.below(7), random.below(1100))
            let range = start...start + random.below(100)
            var found: [PartIndexRow] = []
            let pages = index.pages(of: tensor, in: range)
            for page in pages {
                found += try index.rows(
                    decoding: bytes[index.range(ofPage: page)], page: page, worldSize: 40,
                    tensors: 6, digest: Hashing.digest)
            }
            func meets(_ row: PartIndexRow) -> Bool {
                row.tensor == tensor && row.first <= range.upperBound
                    && row.last >= range.lowerBound
            }
            #expect(found.filter(meets) == rows.filter(meets), "seed \(seed)")
            // Shards reach 50 elements: rows that begin earlier than that are not needed.
            let near = rows.filter {
                $0.tensor == tensor && $0.first <= range.upperBound
                    && $0.first >= range.lowerBound - 50
            }
            #expect(pages.count <= near.count / Limits.partIndexRowsPerPage + 3, "seed \(seed)")
        }
    }

    @Test("A changed byte of a page is found")
    func damage() throws {
        let (index, bytes) = PartIndex.encoded(rows(1, count: 100), digest: Hashing.digest)
        for offset in stride(from: 0, to: bytes.count, by: 7) {
            var changed = bytes
            changed[offset] ^= 1
            #expect(throws: FormatError.self) {
                try index.rows(
                    decoding: changed[...], page: 0, worldSize: 40, tensors: 6,
                    digest: Hashing.digest)
            }
        }
    }

    @Test("Names are read as they are written, and no others")
    func names() {
        let hash = Hash128(rawValue: 77)
        let names: [PartName] = [
            .part(rank: 3, worldSize: 100_000), .failed(rank: 99999), .index(hash),
            .begun(rank: 0, worldSize: 4, milliseconds: 1_790_000_000_000),
        ]
        for name in names { #expect(PartName(name.description) == name) }
        for text in [
            "", ".part", "00003-000002.part", "3-000004.part", "00000-000004.manifest", "x.index",
            "00000-000004.part.tmp", "00000-000004-1.begun", "0000a.failed",
        ] {
            #expect(PartName(text) == nil, "\(text)")
        }
        let attempt = AttemptName(
            checkpoint: ManifestName(run: RunID(rawValue: 1 << 90), step: 12),
            attempt: CheckpointID(rawValue: 5))
        #expect(AttemptName(attempt.description) == attempt)
        #expect(AttemptName(attempt.description + "0") == nil)
        #expect(AttemptName(attempt.checkpoint.description) == nil)
    }
}

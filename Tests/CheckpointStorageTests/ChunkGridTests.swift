import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
@testable import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

/// Which bytes two grids of chunks leave to be read.
@Suite(.timeLimit(.minutes(20))) struct ChunkGridTests {
    private func extents(_ chunks: [(Int, UInt128)]) -> [ChunkExtent] {
        var start = 0
        return chunks.enumerated().map { row, chunk in
            defer { start += chunk.0 }
            return ChunkExtent(range: start..<start + chunk.0, hash: Hash128(rawValue: chunk.1), row: row)
        }
    }

    @Test func equalChunksAreNotRead() {
        let a = extents([(8, 1), (8, 2), (8, 3)])
        #expect(ChunkGrid.unproven(a, a, width: 4) == [])
        #expect(ChunkGrid.unproven(a, extents([(8, 1), (8, 9), (8, 3)]), width: 4) == [8..<16])
        #expect(ChunkGrid.unproven(a, extents([(8, 1), (8, 9), (8, 9)]), width: 4) == [8..<24])
    }

    @Test func ofAnotherGridOnlyWhatCoincidesIsLeftOut() {
        let a = extents([(8, 1), (8, 2), (16, 3)])
        #expect(ChunkGrid.unproven(a, extents([(8, 1), (24, 3)]), width: 4) == [8..<32])
        #expect(ChunkGrid.unproven(a, extents([(16, 1), (16, 3)]), width: 4) == [0..<16])
    }

    @Test func rangesAreWholeElements() {
        let a = extents([(3, 1), (3, 2), (10, 3)])
        #expect(ChunkGrid.unproven(a, extents([(3, 1), (3, 9), (10, 3)]), width: 4) == [0..<8])
    }

    @Test func windowsAreTheRangesCutUp() {
        #expect(ChunkGrid.windows([0..<10, 20..<24], of: 4) == [0..<4, 4..<8, 8..<10, 20..<24])
    }
}

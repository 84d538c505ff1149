import CheckpointTestSupport
import Foundation
import Testing

/// `ranksim` on small sizes; longer runs are in Tools/ranksim/README.md.
@Suite("Simulation of many ranks", .timeLimit(.minutes(20)))
struct RankSimulationTests {
    @Test("Its figures grow with ranks and shards as the formats say")
    func figures() throws {
        let directory = try TemporaryDirectory()
        let outcome = try Program("ranksim").run(
            ["32", "64", "--check", "128", "--model", "tiny", "--latency-ms", "0.2"], in: directory)
        #expect(outcome.status == 0, "\(outcome.output)")
        let rows = outcome.lines.compactMap { line -> [Double]? in
            let fields = line.split(separator: " ").compactMap { Double($0) }
            return fields.count == 14 ? fields : nil
        }
        try #require(rows.map { Int($0[0]) } == [32, 64, 128], "\(outcome.output)")
        for row in rows {
            // 32 bytes for each shard.
            #expect(abs(row[2] - row[4] * 32 / 1e6) < 0.001)
            #expect(row[10] > 0 && row[9] > 0, "\(row)")
        }
        #expect(outcome.lines.contains { $0.contains("predicted") })
        let refused = try Program("ranksim").run(["12"], in: directory)
        #expect(refused.status != 0 && refused.output.contains("powers of two"))
    }
}

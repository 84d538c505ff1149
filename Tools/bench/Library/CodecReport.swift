package import CheckpointFormat
internal import Checkpointing
internal import Foundation

/// Results of a codec benchmark. Formats/cli-json.md defines the keys and units of `json`.
package struct CodecReport {
    package let json: JSONValue
    /// Rows of a table: name, median or single figure, minimum, maximum, number of samples.
    package let rows: [[String]]
    /// Rows of a second table, one for each plane.
    package let planes: [[String]]
    package let isExact: Bool

    init(_ settings: CodecSettings, _ blocks: CodecBlocks, first: Double, compress: Spread, decompress: Spread) throws {
        let tallies = try blocks.planes()
        let ratio = Double(blocks.byteCount) / Double(blocks.storedBytes)
        isExact = try blocks.isExact()
        json = .object([
            .init("ratio", .metric(ratio)), .init("compress_mbps", compress.json), .init("compress_first_mbps", .metric(first)),
            .init("decompress_mbps", decompress.json), .init("exact", .bool(isExact)), .init("raw_bytes", .count(blocks.byteCount)),
            .init("stored_bytes", .count(blocks.storedBytes)),
            .init("planes", .array(tallies.enumerated().map { $0.element.json($0.offset) })),
            .init("configuration", .object(Self.configuration(settings))), .init("ckpt_version", .string(LibraryVersion.number)),
        ])
        let text = { (value: Double) in String(format: "%.5g", value) }
        let row = { (name: String, spread: Spread) in
            [name] + [spread.median, spread.min, spread.max].map(text) + [String(spread.n)]
        }
        rows = [
            ["ratio", text(ratio), "", "", ""], row("compress_mbps", compress), ["compress_first_mbps", text(first), "", "", ""],
            row("decompress_mbps", decompress), ["exact", isExact ? "yes" : "no", "", "", ""],
        ]
        planes = tallies.enumerated().map { index, tally in
            let ratio = Double(tally.rawBytes) / Double(max(tally.storedBytes, 1))
            return [String(index), text(ratio), tally.summary, tally.layout]
        }
    }

    private static func configuration(_ settings: CodecSettings) -> [JSONValue.Member] {
        [
            .init("file", .string(settings.file)), .init("base", settings.base.map { .string($0) } ?? .null),
            .init("dtype", settings.type.map { .string($0.rawValue) } ?? .null),
            .init("level", .string(settings.compression.description)), .init("threads", .count(settings.threads)),
            .init("block_bytes", .count(settings.blockBytes)), .init("rounds", .count(settings.rounds)),
            .init("build", .string(BenchmarkReport.build)),
        ]
    }
}

package import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import Checkpointing
internal import SystemPackage

/// What `ckpt bench codec` measures: one file, cut into blocks as a save cuts tensors, encoded and decoded by some threads.
package struct CodecSettings: Sendable {
    package var file = ""
    /// Of the elements in the file; nil: bytes of unknown kind.
    package var type: ElementType?
    package var compression = Compression.balanced
    /// A file of the same length that the blocks are stored as deltas of; only with `fast`, `balanced` and `max`.
    package var base: String?
    package var threads = 1
    package var blockBytes = Limits.chunkBytesDefault
    package var rounds = 5

    package init() {}

    /// What is wrong with them, or nil.
    package var mistake: String? {
        if base != nil, compression.planeEffort == nil { return "--base needs --level fast, balanced or max" }
        if !(1...256).contains(threads) { return "--threads is from 1 to 256" }
        if !(1...10_000).contains(rounds) { return "--rounds is from 1 to 10000" }
        if !(1...Limits.blockBytesMax).contains(blockBytes) { return "--block-bytes is from 1 to \(Limits.blockBytesMax)" }
        return nil
    }
}

extension Compression {
    /// Of the levels that split elements into planes.
    package var planeEffort: PlaneEffort? {
        switch self {
        case .fast: .fast
        case .balanced, .auto: .balanced
        case .max: .max
        case .none, .lz4, .zstd: nil
        }
    }
}

/// The blocks of a file, in memory that is allocated before anything is measured.
package final class CodecBenchmark {
    private let settings: CodecSettings
    private let blocks: CodecBlocks
    private let team: Team

    package init(_ settings: CodecSettings) throws {
        self.settings = settings
        blocks = try CodecBlocks(settings)
        team = try Team(count: settings.threads)
    }

    package func run() throws -> CodecReport {
        let first = pass { blocks, index in blocks.encode(index) }
        let compress = (0..<settings.rounds).map { _ in pass { blocks, index in blocks.encode(index) } }
        let decompress = (0...settings.rounds).map { _ in pass { blocks, index in blocks.decode(index) } }
        let speed = { (seconds: Double) in Double(self.blocks.byteCount) / 1e6 / seconds }
        return try CodecReport(
            settings, blocks, first: speed(first), compress: Spread(compress.map(speed)),
            decompress: Spread(decompress.dropFirst().map(speed)))
    }

    /// Does something with every block, on all threads; the seconds it took.
    private func pass(_ body: @escaping @Sendable (CodecBlocks, Int) -> Void) -> Double {
        let (blocks, threads) = (blocks, settings.threads)
        let start = ContinuousClock.now
        team.run { number in
            for index in stride(from: number, to: blocks.count, by: threads) { body(blocks, index) }
        }
        return (ContinuousClock.now - start).seconds
    }
}

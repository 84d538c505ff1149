package import CheckpointCodecs
package import CheckpointFormat
internal import CheckpointIO
internal import Checkpointing
internal import SystemPackage

/// Settings of `ckpt bench codec`, which cuts one file into blocks as a save cuts tensors, and
/// encodes and decodes them on several threads.
package struct CodecSettings: Sendable {
    package var file = ""
    /// Type of the elements in the file; nil means bytes of unknown type.
    package var type: ElementType?
    package var compression = Compression.balanced
    /// Base file of the same length for delta encoding; only with `fast`, `balanced` and `max`.
    package var base: String?
    package var threads = 1
    package var blockBytes = Limits.chunkBytesDefault
    package var rounds = 5

    package init() {}

    /// The first invalid setting as an error message; nil if all are valid.
    package var mistake: String? {
        if base != nil, compression.planeEffort == nil { return "--base needs --level fast, balanced or max" }
        if !(1...256).contains(threads) { return "--threads must be 1 to 256" }
        if !(1...10_000).contains(rounds) { return "--rounds must be 1 to 10000" }
        if !(1...Limits.blockBytesMax).contains(blockBytes) { return "--block-bytes must be 1 to \(Limits.blockBytesMax)" }
        return nil
    }
}

extension Compression {
    /// Effort of the levels that split elements into planes; nil for other levels.
    package var planeEffort: PlaneEffort? {
        switch self {
        case .fast: .fast
        case .balanced, .auto: .balanced
        case .max: .max
        case .none, .lz4, .zstd: nil
        }
    }
}

/// Benchmark of a codec on the blocks of a file, in memory that is allocated before measuring.
package final class CodecBenchmark {
    private let settings: CodecSettings
    private let blocks: CodecBlocks
    private let team: Team

    /// Reads the files, and allocates all memory and threads.
    ///
    /// - Parameter settings: settings whose `mistake` is nil.
    /// - Throws: `CheckpointError` if a file cannot be read or memory is refused; `ThreadError` if
    ///   a thread is refused.
    package init(_ settings: CodecSettings) throws {
        self.settings = settings
        blocks = try CodecBlocks(settings)
        team = try Team(count: settings.threads)
    }

    /// Encodes and decodes every block in each round.
    ///
    /// - Returns: the report.
    /// - Throws: `CheckpointError` if encoded blocks cannot be decoded.
    package func run() throws -> CodecReport {
        let first = pass { blocks, index in blocks.encode(index) }
        let compress = (0..<settings.rounds).map { _ in pass { blocks, index in blocks.encode(index) } }
        let decompress = (0...settings.rounds).map { _ in pass { blocks, index in blocks.decode(index) } }
        let speed = { (seconds: Double) in Double(self.blocks.byteCount) / 1e6 / seconds }
        return try CodecReport(
            settings, blocks, first: speed(first), compress: Spread(compress.map(speed)),
            decompress: Spread(decompress.dropFirst().map(speed)))
    }

    /// Processes every block on all threads.
    ///
    /// - Returns: elapsed time in seconds.
    private func pass(_ body: @escaping @Sendable (CodecBlocks, Int) -> Void) -> Double {
        let (blocks, threads) = (blocks, settings.threads)
        let start = ContinuousClock.now
        team.run { number in
            for index in stride(from: number, to: blocks.count, by: threads) { body(blocks, index) }
        }
        return (ContinuousClock.now - start).seconds
    }
}

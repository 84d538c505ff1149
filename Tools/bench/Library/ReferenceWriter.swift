internal import CBaseline
internal import CheckpointCodecs
internal import Checkpointing
internal import CheckpointIO
internal import Foundation
internal import SystemPackage

/// The upper bound that the engine is compared with: it writes the state's bytes to one file, as
/// fast as two threads in C can.
final class ReferenceWriter {
    /// Path of the bytes to the disk.
    enum Variant: String, CaseIterable {
        /// Through a ring of buffers on huge pages, which a second thread fills by copying.
        case copied
        /// Directly from the state's memory.
        case straight
    }

    private let memory: MemoryRegion
    private let path: String
    /// True if it overwrites one file instead of creating new ones.
    let overwrites: Bool
    private let ring: WriterRing
    private var speeds: [Variant: [Double]] = [:]

    /// Creates a writer.
    ///
    /// - Parameters:
    ///   - memory: the bytes to write.
    ///   - path: a path that does not exist; the file there is removed after every `measure`.
    ///   - overwrites: whether to overwrite one file instead of creating new ones.
    /// - Throws: `CheckpointError` if the path exists, or the buffers cannot be allocated.
    init(_ memory: MemoryRegion, path: String, overwrites: Bool) throws(CheckpointError) {
        guard !FileManager.default.fileExists(atPath: path) else {
            throw CheckpointError(
                .misuse, "the reference writer needs \(path), which already exists",
                remedy: "Delete this file", path: path)
        }
        (self.memory, self.path, self.overwrites) = (memory, path, overwrites)
        ring = try WriterRing()
    }

    /// Measures every variant, alternating between them.
    ///
    /// - Parameter count: number of measurements per variant.
    /// - Throws: `CheckpointError` if writing fails.
    func measure(_ count: Int) throws(CheckpointError) {
        // Errors are ignored: the file may have been removed already.
        defer { try? FileManager.default.removeItem(atPath: path) }
        if overwrites { _ = try write(.straight) }
        for _ in 0..<count {
            for variant in Variant.allCases {
                speeds[variant, default: []].append(try write(variant))
                if !overwrites { try translating("the reference writer") { try POSIXFileSystem().remove(FilePath(path)) } }
            }
        }
    }

    /// Writes the bytes once.
    ///
    /// - Returns: speed in GB/s.
    private func write(_ variant: Variant) throws(CheckpointError) -> Double {
        let isCopied = variant == .copied
        do {
            return try Double(memory.count) / 1e9 / ring.write(memory, to: path, isCopied: isCopied, overwrites: overwrites)
        } catch {
            throw CheckpointError(error)
        }
    }

    /// The faster variant and its speeds in GB/s.
    var best: (variant: Variant, spread: Spread) {
        let all = Variant.allCases.map { ($0, Spread(speeds[$0] ?? [])) }
        return all.max { $0.1.median < $1.1.median } ?? all[0]
    }
}

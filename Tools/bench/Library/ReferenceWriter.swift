internal import CBaseline
internal import CheckpointCodecs
internal import Checkpointing
internal import CheckpointIO
internal import Foundation
internal import SystemPackage

/// The ceiling that the engine is compared with: the state's bytes in one file, as quickly as two threads in C manage.
final class ReferenceWriter {
    /// How the bytes get to the disk.
    enum Variant: String, CaseIterable {
        /// By way of a ring of buffers on huge pages, which a second thread copies into.
        case copied
        /// From where they are.
        case straight
    }

    private let memory: MemoryRegion
    private let path: String
    /// Whether it writes over one and the same file instead of into fresh ones.
    let overwrites: Bool
    private let ring: WriterRing
    private var speeds: [Variant: [Double]] = [:]

    /// - Parameters:
    ///   - path: of a file that does not exist; it is gone after every `measure`.
    init(_ memory: MemoryRegion, path: String, overwrites: Bool) throws(CheckpointError) {
        guard !FileManager.default.fileExists(atPath: path) else {
            throw CheckpointError(.misuse, "\(path), where the reference writer would write, exists", remedy: "Remove it", path: path)
        }
        (self.memory, self.path, self.overwrites) = (memory, path, overwrites)
        ring = try WriterRing()
    }

    /// Measures every variant `count` times, in turn.
    func measure(_ count: Int) throws(CheckpointError) {
        // A file that is not there any more needs no removing.
        defer { try? FileManager.default.removeItem(atPath: path) }
        if overwrites { _ = try write(.straight) }
        for _ in 0..<count {
            for variant in Variant.allCases {
                speeds[variant, default: []].append(try write(variant))
                if !overwrites { try translating("the reference writer") { try POSIXFileSystem().remove(FilePath(path)) } }
            }
        }
    }

    /// - Returns: GB/s.
    private func write(_ variant: Variant) throws(CheckpointError) -> Double {
        let isCopied = variant == .copied
        do {
            return try Double(memory.count) / 1e9 / ring.write(memory, to: path, isCopied: isCopied, overwrites: overwrites)
        } catch {
            throw CheckpointError(error)
        }
    }

    /// Speeds of the better variant, in GB/s.
    var best: (variant: Variant, spread: Spread) {
        let all = Variant.allCases.map { ($0, Spread(speeds[$0] ?? [])) }
        return all.max { $0.1.median < $1.1.median } ?? all[0]
    }
}

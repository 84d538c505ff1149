internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import Checkpointing
internal import SystemPackage

/// The blocks of a file, with memory for their encoded form. Only one thread at a time processes a
/// block.
final class CodecBlocks: Sendable {
    private struct Results {
        /// Stored bytes of each block; a block that is not worth encoding is stored raw.
        var stored: [Int]
        var memories: [CodecMemory]
        var fault: CodecError?
    }

    private let settings: CodecSettings
    private let raw: AlignedBuffer
    private let base: AlignedBuffer?
    private let encoded: AlignedBuffer
    private let decoded: AlignedBuffer
    private let room: Int
    private let results: Monitor<Results>
    let byteCount: Int
    let count: Int

    init(_ settings: CodecSettings) throws {
        self.settings = settings
        raw = try Self.load(settings.file)
        base = try settings.base.map { try Self.load($0) }
        byteCount = raw.count
        if let base, base.count != raw.count {
            throw CheckpointError(
                .mismatch, "\(settings.base ?? "") has \(base.count) bytes, but \(settings.file) has \(raw.count)",
                remedy: "Choose a base of the same length")
        }
        count = (raw.count + settings.blockBytes - 1) / settings.blockBytes
        room = settings.compression.codec.encodedBytesMax(settings.blockBytes)
        let results = Results(
            stored: [Int](repeating: 0, count: count), memories: [CodecMemory](repeating: CodecMemory(), count: count))
        do {
            encoded = try AlignedBuffer(count: count * room)
            decoded = try AlignedBuffer(count: raw.count)
        } catch { throw CheckpointError(.outOfMemory, "\(error), which \(settings.file) needs") }
        self.results = Monitor(results)
    }

    private static func load(_ path: String) throws -> AlignedBuffer {
        do {
            let file = try POSIXFileSystem().open(FilePath(path))
            guard file.size > 0 else { throw CheckpointError(.mismatch, "\(path) is empty") }
            let buffer = try AlignedBuffer(count: file.size)
            try buffer.region.read(from: file, at: 0)
            return buffer
        } catch let error as FileSystemError {
            throw CheckpointError(error)
        } catch let error as OutOfMemory {
            throw CheckpointError(.outOfMemory, "\(error), which \(path) needs")
        }
    }

    private func range(_ index: Int) -> Range<Int> {
        index * settings.blockBytes..<min((index + 1) * settings.blockBytes, byteCount)
    }

    func encode(_ index: Int) {
        let block = raw.region[range(index)]
        var memory = results.withLock { $0.memories[index] }
        let written = encode(block, index, &memory)
        let isWorthwhile = written.map { StorageRule.isWorthwhile(storedBytes: $0, rawBytes: block.count) } ?? false
        results.withLock { results in
            results.memories[index] = memory
            results.stored[index] = isWorthwhile ? written ?? block.count : block.count
        }
    }

    private func encode(_ block: MemoryRegion, _ index: Int, _ memory: inout CodecMemory) -> Int? {
        let stored = encoded.region[index * room..<(index + 1) * room]
        let runs = [ElementRun(bytes: block.count, type: settings.type)]
        guard let effort = settings.compression.planeEffort else { return settings.compression.codec.encode(block, into: stored) }
        guard let base else { return PlanesCodec(effort: effort).encode(block, runs: runs, memory: &memory, into: stored) }
        return DeltaCodec().encode(block, base: base.region[range(index)], runs: runs, effort: effort, into: stored)
    }

    func decode(_ index: Int) {
        let target = decoded.region[range(index)]
        do throws(CodecError) {
            guard let stored = stored(index) else { return target.copy(from: raw.region[range(index)]) }
            if let base {
                try DeltaCodec().decode(stored, base: base.region[range(index)], into: target)
            } else {
                try CodecRegistry.decode(codec, stored, into: target)
            }
        } catch {
            results.withLock { $0.fault = error }
        }
    }

    /// Returns the encoded form of a block; nil if the block is stored raw.
    private func stored(_ index: Int) -> MemoryRegion? {
        let bytes = results.withLock { $0.stored[index] }
        return bytes == range(index).count ? nil : encoded.region[index * room..<index * room + bytes]
    }

    private var codec: CodecIdentifier { base == nil ? settings.compression.codec.identifier : .delta }

    var storedBytes: Int { results.withLock { $0.stored.reduce(0, +) } }

    /// Returns whether every block was decoded exactly in the last round.
    ///
    /// - Throws: `CheckpointError` if a block could not be decoded.
    func isExact() throws -> Bool {
        if let fault = results.withLock({ $0.fault }) { throw CheckpointError(.damaged, "an encoded block cannot be decoded: \(fault)") }
        return raw.region.hash128 == decoded.region.hash128
    }

    /// Returns statistics of each plane: the frequency of each mode and the stored bytes, over the
    /// blocks that are not stored raw.
    func planes() throws -> [PlaneTally] {
        var tallies: [PlaneTally] = []
        guard settings.compression.planeEffort != nil else { return [] }
        for index in 0..<count {
            guard let stored = stored(index) else { continue }
            try SubBlockReader.forEach(in: stored, codec, rawBytes: range(index).count) { header, rows in
                for (plane, row) in rows.enumerated() {
                    if plane == tallies.count { tallies.append(PlaneTally()) }
                    tallies[plane].add(row, of: plane, header)
                }
            }
        }
        return tallies
    }
}

/// Statistics of one plane over all sub-blocks.
struct PlaneTally {
    private var modes: [String: Int] = [:]
    private var layouts: [String: Int] = [:]
    private(set) var rawBytes = 0
    private(set) var storedBytes = 0

    mutating func add(_ row: PlaneRow, of plane: Int, _ header: SubBlockHeader) {
        let transform = header.transform
        modes["\(row.mode)", default: 0] += 1
        layouts["\(transform.width)-byte\(rotation(transform))\(residual(transform))", default: 0] += 1
        // The stored columns and rows represent no raw bytes.
        rawBytes += plane < transform.width ? header.rawBytes / transform.width : 0
        storedBytes += row.storedBytes
    }

    private func rotation(_ transform: PlaneTransform) -> String {
        (transform.rotation == 0 ? "" : ", rotated \(transform.rotation)") + (transform.isSorted ? ", sorted" : "")
    }

    private func residual(_ transform: PlaneTransform) -> String {
        transform.residual == .none ? "" : ", \(transform.residual)"
    }

    /// Modes with their counts, the most frequent first.
    var summary: String { Self.listed(modes) }
    var layout: String { Self.listed(layouts) }

    private static func listed(_ counts: [String: Int]) -> String {
        counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map { "\($0.key) x\($0.value)" }.joined(separator: "; ")
    }

    func json(_ plane: Int) -> JSONValue {
        let counts = { (counts: [String: Int]) in
            JSONValue.object(counts.sorted { $0.key < $1.key }.map { .init($0.key, .count($0.value)) })
        }
        return .object([
            .init("plane", .count(plane)), .init("raw_bytes", .count(rawBytes)), .init("stored_bytes", .count(storedBytes)),
            .init("modes", counts(modes)), .init("layouts", counts(layouts)),
        ])
    }
}

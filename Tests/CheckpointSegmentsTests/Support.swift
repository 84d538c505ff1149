import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointTestSupport
import SystemPackage

/// One save's blocks: what was asked to be written, and where it went.
final class Written: Sendable {
    struct Entry: Sendable {
        var raw: [UInt8]
        var segment: Int
        var location: SegmentBlock
    }

    private let storage = Monitor<(entries: [Entry], errors: [SegmentError])>(([], []))
    var entries: [Entry] { storage.withLock { $0.entries } }
    var errors: [SegmentError] { storage.withLock { $0.errors } }
    func add(_ entry: Entry) { storage.withLock { $0.entries.append(entry) } }
    func add(_ error: SegmentError) { storage.withLock { $0.errors.append(error) } }
}

extension TemporaryStore {
    func writer(_ fileSystem: (any FileSystem)? = nil, attempt: CheckpointID = .random()) -> SegmentWriter {
        SegmentWriter(
            fileSystem: fileSystem ?? self.fileSystem, directories: directories, store: .random(), attempt: attempt,
            rank: 3)
    }

    /// The verifier's findings, none if all is well.
    func findings(_ reference: SegmentReference) throws -> (index: SegmentIndex, findings: [SegmentError]) {
        var findings: [SegmentError] = []
        let verifier = SegmentVerifier(fileSystem: fileSystem, directories: directories)
        let index = try verifier.check(reference.name) { findings.append($0) }
        return (index, findings)
    }

    /// Reads a block back through its reference.
    func read(_ entry: Written.Entry, _ references: [SegmentReference]) throws -> [UInt8] {
        let reader = try BlockReader(references[entry.segment], fileSystem: fileSystem, directories: directories)
        var scratch = ScratchBuffer()
        let destination = try OwnedBytes([UInt8](repeating: 0xA5, count: entry.location.rawBytes))
        try reader.read(entry.location, into: destination.region, scratch: &scratch)
        return destination.bytes
    }
}

/// Encodes `raw` and writes it at the next place of `layout`.
func write(
    _ raw: [UInt8], _ compression: Compression, _ writer: SegmentWriter, place: (Int) -> SegmentLayout.Place
) throws -> Written.Entry {
    let encoder = BlockEncoder(compression)
    let memory = try OwnedBytes(raw + [UInt8](repeating: 0xEE, count: roundedUpToPage(raw.count) - raw.count))
    let spare = encoder.needsSpare ? try OwnedBytes([UInt8](repeating: 0xEE, count: memory.region.count)).region : nil
    let (block, isInSpare) = encoder.encode(memory.region, rawBytes: raw.count, spare: spare)
    let placed = PlacedBlock(block, at: place(block.storedBytes))
    try writer.write(isInSpare ? spare ?? memory.region : memory.region, as: placed)
    return Written.Entry(raw: raw, segment: placed.segment, location: placed.location)
}

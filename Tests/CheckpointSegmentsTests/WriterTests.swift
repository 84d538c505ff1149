import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointTestSupport
import Testing

@Suite("Segment writer", .timeLimit(.minutes(20)))
struct WriterTests {
    /// Blocks that compress and blocks that do not.
    private func raw(_ random: inout SeededGenerator) -> [UInt8] {
        let count = 1 + random.below(20_000)
        return random.below(2) == 0 ? random.bytes(count) : [UInt8](repeating: UInt8(random.below(256)), count: count)
    }

    @Test(
        "What several threads write can be verified and read back",
        arguments: [
            Compression.none, .lz4, .zstd(level: 1),
        ])
    func threads(_ compression: Compression) throws {
        let store = try TemporaryStore()
        let writer = store.writer()
        let written = Written()
        let layout = Monitor(SegmentLayout(segmentBytesMax: 256 << 10))
        let workers = try (0..<4).map { worker in
            try WorkerThread(name: "writer-\(worker)") {
                var random = SeededGenerator(UInt64(worker))
                for _ in 0..<25 {
                    do {
                        written.add(
                            try write(raw(&random), compression, writer) { bytes in
                                layout.withLock { $0.place(bytes: bytes) }
                            })
                    } catch { Issue.record("\(error)") }
                }
            }
        }
        for worker in workers { worker.join() }
        let references = try writer.seal().references
        #expect(written.entries.count == 100)
        #expect(
            references.count == layout.withLock { $0.segmentCount } && references.count > (compression == .none ? 3 : 1)
        )
        try check(store, references, written.entries)
        #expect(try store.fileSystem.list(store.directories.staging).isEmpty)
        if compression != .none {
            #expect(Set(written.entries.map(\.location.codec)) == [.raw, compression.codec.identifier])
        }
    }

    private func check(_ store: TemporaryStore, _ references: [SegmentReference], _ entries: [Written.Entry]) throws {
        for (number, reference) in references.enumerated() {
            #expect(reference.name.number == number && reference.name.rank == 3)
            let (index, findings) = try store.findings(reference)
            #expect(findings.isEmpty)
            #expect(index.fileBytes == reference.fileBytes && index.trailerHash == reference.trailerHash)
            let mine = entries.filter { $0.segment == number }.map(\.location).sorted { $0.offset < $1.offset }
            #expect(index.blocks == mine)
        }
        for entry in entries { #expect(try store.read(entry, references) == entry.raw) }
    }

    @Test("A save of no blocks has no segment")
    func nothing() throws {
        let store = try TemporaryStore()
        #expect(try store.writer().seal().references.isEmpty)
        #expect(try store.leftovers().isEmpty)
    }

    @Test("Raw blocks placed together lie adjacent: the file holds the tensor in one piece")
    func adjacent() throws {
        let store = try TemporaryStore()
        let writer = store.writer()
        var layout = SegmentLayout()
        var random = SeededGenerator(5)
        let tensor = random.bytes(5 * 8192 + 100)
        let locations = try stride(from: 0, to: tensor.count, by: 8192).map { start in
            let chunk = Array(tensor[start..<min(start + 8192, tensor.count)])
            return try write(chunk, .none, writer) { layout.place(bytes: $0) }.location
        }
        let reference = try #require(try writer.seal().references.first)
        let file = try store.contents(of: store.directories.path(of: reference.name))
        #expect(locations[0].offset % Limits.pageBytes == 0)
        #expect(Array(file[locations[0].offset..<locations[0].offset + tensor.count]) == tensor)
    }

    @Test("A sealed writer writes and seals no more")
    func sealed() throws {
        let store = try TemporaryStore()
        let writer = store.writer()
        _ = try write([1, 2, 3], .none, writer) { _ in .init(segment: 0, offset: 4096) }
        _ = try writer.seal()
        #expect(throws: SegmentError.self) { try writer.seal() }
        #expect(throws: SegmentError.self) {
            try write([1, 2, 3], .none, writer) { _ in .init(segment: 0, offset: 8192) }
        }
    }

    @Test("An attempt's names are its own: a second writer of the same attempt fails")
    func sameAttempt() throws {
        let store = try TemporaryStore()
        let attempt = CheckpointID.random()
        let first = store.writer(attempt: attempt)
        _ = try write([1], .none, first) { _ in .init(segment: 0, offset: 4096) }
        #expect(throws: SegmentError.self) {
            try write([2], .none, store.writer(attempt: attempt)) { _ in .init(segment: 0, offset: 4096) }
        }
        #expect(try first.seal().references.count == 1)
    }
}

@Suite("Failing writes", .timeLimit(.minutes(20)))
struct FailureTests {
    /// Writes three blocks into two segments and seals them.
    private func save(_ writer: SegmentWriter) throws -> [SegmentReference] {
        for (segment, offset) in [(0, 4096), (0, 8192), (1, 4096)] {
            _ = try write([1, 2, 3], .none, writer) { _ in .init(segment: segment, offset: offset) }
        }
        return try writer.seal().references
    }

    private static let operations: [String] = {
        do {
            let store = try TemporaryStore()
            let log = OperationLog()
            _ = try FailureTests().save(store.writer(log.fileSystem(failingAt: nil)))
            return log.verbs
        } catch { fatalError("\(error)") }
    }()

    @Test("A save is these operations, in the order of Formats/durability.md, W1 to W5")
    func trace() {
        let seal = ["write", "sync", "link", "remove"]
        #expect(
            Self.operations == ["create", "write", "write", "write", "create", "write", "write"] + seal + seal + [
                "syncdir"
            ])
    }

    @Test(
        "Whichever operation fails, the writer is poisoned, and abandoning it leaves nothing",
        arguments: operations.indices)
    func failure(_ operation: Int) throws {
        let store = try TemporaryStore()
        let log = OperationLog()
        let writer = store.writer(log.fileSystem(failingAt: operation))
        let error = #expect(throws: SegmentError.self) { try save(writer) }
        guard case .io(let cause)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(cause.operation.hasPrefix(Self.operations[operation]))
        #expect(log.verbs.count == operation + 1, "nothing is done after a failure")
        let again = #expect(throws: SegmentError.self) {
            try write([4], .none, writer) { _ in .init(segment: 0, offset: 12288) }
        }
        let sealing = #expect(throws: SegmentError.self) { try writer.seal() }
        // After a failed write the first error again, so that a person sees the cause.
        for later in [again, sealing] {
            switch later {
            case .io(let repeated)?: #expect(repeated == cause)
            case .poisoned?: #expect(operation > 6)
            default: Issue.record("\(String(describing: later))")
            }
        }
        writer.abandon()
        #expect(try store.leftovers().isEmpty)
        writer.abandon()
    }

    @Test("Abandoned before or after sealing, it leaves nothing", arguments: [false, true])
    func abandoned(_ isSealed: Bool) throws {
        let store = try TemporaryStore()
        let writer = store.writer()
        if isSealed {
            _ = try save(writer)
        } else {
            _ = try write([1], .none, writer) { _ in .init(segment: 7, offset: 4096) }
        }
        #expect(try store.leftovers().count == (isSealed ? 2 : 1))
        writer.abandon()
        #expect(try store.leftovers().isEmpty)
    }

    @Test("A file that has become another segment is refused; one whose header page is damaged is read")
    func otherSegment() throws {
        let store = try TemporaryStore()
        var random = SeededGenerator(5)
        let content = random.bytes(5000)
        var segments: [(entry: Written.Entry, reference: SegmentReference)] = []
        for _ in 0..<2 {
            let writer = store.writer()
            var layout = SegmentLayout()
            let entry = try write(content, .none, writer) { layout.place(bytes: $0) }
            segments.append((entry, try writer.seal().references[0]))
        }
        let path = store.directories.path(of: segments[0].reference.name)
        var damaged = try store.contents(of: path)
        damaged[100] ^= 1
        try store.fileSystem.remove(path)
        try store.put(damaged, at: path)
        #expect(try store.read(segments[0].entry, [segments[0].reference]) == content)
        try store.fileSystem.remove(path)
        try store.put(try store.contents(of: store.directories.path(of: segments[1].reference.name)), at: path)
        #expect(throws: SegmentError.self) { try store.read(segments[0].entry, [segments[0].reference]) }
    }
}

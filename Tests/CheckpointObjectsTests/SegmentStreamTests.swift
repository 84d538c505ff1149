import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import SystemPackage
import Testing

@testable import CheckpointObjects
@testable import CheckpointStorage

/// Segments that are uploaded while they are written.
@Suite("Segments in parts", .timeLimit(.minutes(10)))
struct SegmentStreamTests {
    private static let partBytes = 64 << 10
    private static let path: FilePath = "s3:/tests/run"
    private static let staged = path.appending("staging").appending(name)
    private static let final = path.appending("segments").appending(name)
    private static let name = "0123456789abcdef0123456789abcdef-00000-00000.segment"
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func files(_ objects: any ObjectStore, spoolBytes: Int? = nil) -> ObjectFileSystem {
        ObjectFileSystem(
            objects, root: Self.path, cache: FilePath(directory.appending("cache")),
            spoolBytes: spoolBytes)
    }

    /// Bytes that the files of this machine take.
    private var spooledBytes: Int {
        let names = FileManager.default.enumerator(atPath: directory.appending("cache"))
        return (names?.compactMap { $0 as? String } ?? []).reduce(0) { sum, name in
            var status = stat()
            guard unsafe stat(directory.appending("cache/\(name)"), &status) == 0,
                status.st_mode & S_IFMT == S_IFREG
            else { return sum }
            return sum + Int(status.st_blocks) * 512
        }
    }

    @Test("A part is complete with its last page, and only then")
    func pages() {
        let seed = Seeds.random()
        var random = SeededGenerator(seed)
        var map = PageMap(partBytes: 4 * 4096)
        var written: Set<Int> = []
        var complete: Set<Int> = []
        for _ in 0..<500 {
            let start = Int.random(in: 0..<64 * 4096, using: &random)
            let range = start..<start + Int.random(in: 0...5 * 4096, using: &random)
            for page in 0..<80 where range.lowerBound <= page * 4096 && (page + 1) * 4096 <= range.upperBound {
                written.insert(page)
            }
            let now = Set((0..<20).filter { part in (0..<4).allSatisfy { written.contains(part * 4 + $0) } })
            #expect(Set(map.insert(range)) == now.subtracting(complete), "seed \(seed)")
            complete = now
        }
    }

    @Test("The object has the bytes of the file, in whatever order they were written")
    func content() throws {
        let seed = Seeds.random()
        var random = SeededGenerator(seed)
        for size in [4096, Self.partBytes, Self.partBytes + 4096, 10 * Self.partBytes, 10 * Self.partBytes + 100] {
            let objects = StreamingObjectStore(partBytes: Self.partBytes)
            let files = files(objects)
            let content = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
            let file = try files.create(Self.staged)
            // Runs of pages, in any order; the last may be shorter.
            var (runs, offset): ([Range<Int>], Int) = ([], 0)
            while offset < size {
                let end = min(offset + 4096 * Int.random(in: 1...7, using: &random), size)
                runs.append(offset..<end)
                offset = end
            }
            for run in runs.shuffled(using: &random) { try file.write(Array(content[run]), at: run.lowerBound) }
            try file.sync()
            try files.link(Self.staged, to: Self.final)
            file.close()
            #expect(objects.begun == (size < Self.partBytes ? 0 : 1), "\(size) bytes")
            #expect(try objects.bytes(of: "segments/\(Self.name)", count: size) == content, "seed \(seed)")
            #expect(objects.size(of: "segments/\(Self.name)") == size)
            try files.remove(Self.staged)
            #expect(objects.aborted == 0)
        }
    }

    @Test("Files on this machine take no more than the bound while parts wait")
    func bound() throws {
        let isOpen = Monitor(false, rank: .unchecked)
        let objects = StreamingObjectStore(partBytes: Self.partBytes) { _ throws(ObjectStoreError) in
            isOpen.waitFor { $0 ? () : nil }
        }
        let files = files(objects, spoolBytes: 4 * Self.partBytes)
        let file = try files.create(Self.staged)
        let page = [UInt8](repeating: 7, count: 4096)
        let writer = try WorkerThread(name: "writer") {
            for index in 0..<40 * 16 { try! file.write(page, at: index * 4096) }
        }
        // It stops at the bound, and not before.
        for _ in 0..<200 where spooledBytes < 4 * Self.partBytes { Thread.sleep(forTimeInterval: 0.01) }
        Thread.sleep(forTimeInterval: 0.1)
        #expect(spooledBytes == 4 * Self.partBytes)
        isOpen.withLock { $0 = true }
        writer.join()
        for _ in 0..<500 where objects.parts.count < 40 { Thread.sleep(forTimeInterval: 0.01) }
        try files.link(Self.staged, to: Self.final)
        #expect(objects.size(of: "segments/\(Self.name)") == 40 * Self.partBytes)
        // The file has holes in place of what was uploaded.
        #expect(spooledBytes < Self.partBytes)
        file.close()
        try files.remove(Self.staged)
    }

    @Test("A part that cannot be uploaded fails the segment, and nothing is left")
    func failing() throws {
        let objects = StreamingObjectStore(partBytes: Self.partBytes) { part throws(ObjectStoreError) in
            if part == 3 { throw ObjectStoreError(.denied, "PUT", "key", "AccessDenied") }
        }
        let files = files(objects)
        let file = try files.create(Self.staged)
        let part = [UInt8](repeating: 7, count: Self.partBytes)
        var isKnown = false
        for index in 0..<200 {
            // The writer is told, so that a save does not go on in vain.
            do { try file.write(part, at: index * part.count) } catch {
                #expect("\(error)".contains("AccessDenied"))
                isKnown = true
                break
            }
            if index > 4 { Thread.sleep(forTimeInterval: 0.01) }
        }
        #expect(isKnown)
        #expect(throws: FileSystemError.self) { try files.link(Self.staged, to: Self.final) }
        #expect(objects.size(of: "segments/\(Self.name)") == nil)
        #expect(objects.begun == 1 && objects.aborted == 1)
        file.close()
        try files.remove(Self.staged)
        #expect(objects.aborted == 1)
    }

    @Test("A segment that is given up is aborted, also while parts are uploaded")
    func abandoned() throws {
        let objects = StreamingObjectStore(partBytes: Self.partBytes) { _ throws(ObjectStoreError) in
            Thread.sleep(forTimeInterval: 0.005)
        }
        let files = files(objects, spoolBytes: 0)
        let file = try files.create(Self.staged)
        let part = [UInt8](repeating: 7, count: Self.partBytes)
        for index in 0..<10 { try file.write(part, at: index * part.count) }
        file.close()
        try files.remove(Self.staged)
        #expect(objects.begun == 1 && objects.aborted == 1 && objects.base.keys.isEmpty)
        #expect(spooledBytes == 0)
    }

    @Test("A page of a part that was uploaded is not written again")
    func rewritten() throws {
        let objects = StreamingObjectStore(partBytes: Self.partBytes)
        let files = files(objects)
        let file = try files.create(Self.staged)
        let part = [UInt8](repeating: 7, count: Self.partBytes)
        try file.write(part, at: 0)
        #expect(throws: FileSystemError.self) { try file.write(Array(part[..<4096]), at: 4096) }
        file.close()
        try files.remove(Self.staged)
    }

    @Test("A save that is larger than the bound is committed and restored")
    func saved() throws {
        let objects = StreamingObjectStore(partBytes: Self.partBytes)
        let cache = FilePath(directory.appending("cache"))
        let store = try CheckpointStore.open(
            objects, root: Self.path, cache: cache, for: .writing, spoolBytes: 4 * Self.partBytes)
        let tensors = TestTensors(sizes: [3_000_000, 64, 1_000_000])
        var options = smallOptions(workers: 2)
        (options.chunkBytes, options.arenaBytes) = (65536, 8 * 65536)
        let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
        for step in 1...3 {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        let content = tensors.bytes
        try checkpointer.close()
        #expect(objects.begun == 3 && objects.aborted == 0)
        try store.close()
        let reader = try CheckpointStore.open(objects, root: Self.path, cache: cache, for: .reading)
        let restored = TestTensors(sizes: [3_000_000, 64, 1_000_000])
        try reader.restore(.latest, into: restored)
        #expect(restored.bytes == content)
        #expect(try reader.verify().isWhole)
    }
}

import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
@testable import CheckpointMaintenance
internal import CheckpointSegments
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

/// A small store, damaged at every byte.
@Suite("Damage", .timeLimit(.minutes(20)))
struct DamageTests {
    private let sizes = [104, 320]

    /// A store of two steps, each with a raw block and objects.
    private func smallStore(_ compression: Compression) throws -> InMemoryFileSystem {
        let memory = InMemoryFileSystem()
        let tensors = TestTensors(sizes: sizes)
        var options = smallOptions()
        options.compression = compression
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        for step in 1...2 {
            checkpointer.mutate { compression == .none ? tensors.fillPattern(UInt64(step)) : tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        return memory
    }

    /// The files of the newest checkpoint: its manifest and its segment.
    private func newestFiles(_ memory: InMemoryFileSystem) throws -> [FilePath: [UInt8]] {
        let newest = try #require(try openStore(memory, for: .reading).newest(1).first).get()
        let files = memory.files.filter { path, _ in
            path.string.hasSuffix("2.manifest") || path.string.contains("segments/\(newest.id)")
        }
        #expect(files.count == 2)
        return files
    }

    private func damageCount(_ store: CheckpointStore) throws -> Int {
        try store.verify(.latest).findings.count { $0.kind == .damage }
    }

    @Test("verify finds any flipped byte of a manifest or a segment", arguments: [Compression.none, .zstd(level: 1)])
    func everyFlip(compression: Compression) throws {
        let memory = try smallStore(compression)
        let store = try openStore(memory, for: .reading)
        #expect(try damageCount(store) == 0)
        for (path, bytes) in try newestFiles(memory) {
            for index in bytes.indices {
                var flipped = bytes
                flipped[index] ^= UInt8(1 << (index % 8))
                memory.overwrite(path, with: flipped)
                #expect(try damageCount(store) > 0, "\(path) byte \(index)")
            }
            memory.overwrite(path, with: bytes)
        }
        #expect(try damageCount(store) == 0)
    }

    @Test("restore of latest never gives wrong bytes: it gives the right ones, or those of the step before, and says so")
    func restoreUnderFlips() throws {
        let memory = try smallStore(.zstd(level: 1))
        let store = try openStore(memory, for: .reading)
        let copy = TestTensors(sizes: sizes)
        var walkedBack = 0
        for (path, bytes) in try newestFiles(memory) {
            for index in stride(from: 0, to: bytes.count, by: 5) {
                var flipped = bytes
                flipped[index] ^= 0x80
                memory.overwrite(path, with: flipped)
                let report = try store.restore(.latest, into: copy)
                #expect(copy.distinctValues == [UInt64(report.step)], "\(path) byte \(index)")
                #expect((report.step == 1) == !report.skipped.isEmpty, "\(path) byte \(index)")
                walkedBack += report.step == 1 ? 1 : 0
            }
            memory.overwrite(path, with: bytes)
        }
        #expect(walkedBack > 100)
    }

    @Test("a file cut at any byte is an error with the file's name, and latest is the step before")
    func everyTruncation() throws {
        let memory = try smallStore(.none)
        let store = try openStore(memory, for: .reading)
        for (path, bytes) in try newestFiles(memory) {
            for length in 0..<bytes.count {
                memory.overwrite(path, with: Array(bytes[..<length]))
                let findings = try store.verify(.latest, quick: true).findings.filter { $0.kind == .damage }
                #expect(findings.contains { $0.path == path.string }, "\(path) cut to \(length)")
                if length % 64 == 0 {
                    let report = try store.restore(.latest, into: TestTensors(sizes: sizes))
                    #expect(report.step == 1, "\(path) cut to \(length)")
                    #expect(report.skipped.first?.path == path.string)
                }
            }
            memory.overwrite(path, with: bytes)
        }
    }

    @Test("a store of which every checkpoint is damaged says so, and names a file")
    func nothingWhole() throws {
        let memory = try smallStore(.none)
        for (path, bytes) in memory.files where path.string.hasSuffix(".manifest") {
            memory.overwrite(path, with: Array(bytes.dropLast()))
        }
        let error = #expect(throws: CheckpointError.self) {
            try openStore(memory, for: .reading).restore(.latest, into: TestTensors(sizes: sizes))
        }
        #expect(error?.code == .damaged)
        #expect(error?.path?.hasSuffix("2.manifest") == true)
    }

    @Test("bytes that changed between capture and disk are found by the hash of the capture, though all else agrees")
    func changedAfterCapture() throws {
        let memory = try smallStore(.none)
        let store = try openStore(memory, for: .reading)
        var loaded = try store.files.load(#require(try store.files.names().last)).manifest
        loaded.chunks[0].hash = Hash128(rawValue: loaded.chunks[0].hash.rawValue ^ 1)
        memory.overwrite(store.directories.path(of: loaded.name), with: loaded.encoded(digest: Hashing.digest))
        let error = #expect(throws: CheckpointError.self) {
            try store.restore(.step(2), into: TestTensors(sizes: sizes))
        }
        #expect(error?.code == .damaged)
        #expect(error?.names == ["tensor.0"])
        #expect(try store.restore(.latest, into: TestTensors(sizes: sizes)).step == 1)
        #expect(try damageCount(store) == 1)
    }

    @Test("a writer that finds a damaged manifest keeps every segment")
    func recoveryKeepsSegments() throws {
        let memory = try smallStore(.none)
        let manifest = try #require(memory.files.first { $0.key.string.hasSuffix("2.manifest") })
        memory.overwrite(manifest.key, with: Array(manifest.value.dropLast()))
        _ = try openStore(memory)
        #expect(try memory.list("/store/segments").count == 2)
        memory.overwrite(manifest.key, with: manifest.value)
        #expect(try damageCount(openStore(memory, for: .reading)) == 0)
    }
}

/// The catalog is an index: whatever happens to it, checkpoints are found and restored.
@Suite("Catalog damage", .timeLimit(.minutes(20)))
struct CatalogDamageTests {
    private func store(_ directory: TemporaryDirectory) throws -> String {
        let path = directory.appending("store")
        let tensors = TestTensors(sizes: [4096])
        let checkpointer = try Checkpointer(
            store: CheckpointStore.open(path, for: .writing), state: tensors, options: smallOptions())
        for step in 1...3 {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step, metrics: ["loss": Double(step)]).wait()
        }
        try checkpointer.close()
        return path
    }

    /// Lists and restores, reading and then writing.
    private func check(_ path: String, _ comment: Comment) throws {
        for access in [CheckpointStore.Access.reading, .writing] {
            let store = try CheckpointStore.open(path, for: access)
            #expect(try store.checkpoints().map { try $0.get().step } == [3, 2, 1], comment)
            let copy = TestTensors(sizes: [4096])
            #expect(try store.restore(.latest, into: copy).step == 3, comment)
            #expect(copy.distinctValues == [3], comment)
        }
    }

    @Test func deleted() throws {
        let directory = try TemporaryDirectory()
        let path = try store(directory)
        try FileManager.default.removeItem(atPath: path + "/catalog.sqlite")
        try check(path, "deleted")
        #expect(FileManager.default.fileExists(atPath: path + "/catalog.sqlite"))
    }

    @Test("any flipped byte loses nothing: no checkpoint, no segment, no crash")
    func everyFlip() throws {
        let directory = try TemporaryDirectory()
        let path = try store(directory)
        let url = URL(fileURLWithPath: path + "/catalog.sqlite")
        let bytes = try Data(contentsOf: url)
        let segments = try FileManager.default.contentsOfDirectory(atPath: path + "/segments").sorted()
        // All bytes in the long campaign; here every page's head, where structure lies, and a sample of the rest.
        let isLong = ProcessInfo.processInfo.environment["CKPT_ALL_CATALOG_BYTES"] != nil
        for index in bytes.indices where isLong || index % 4096 < 48 || index % 101 == 0 {
            var flipped = bytes
            flipped[index] ^= UInt8(1 << (index % 8))
            try flipped.write(to: url)
            try check(path, "byte \(index)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: path + "/segments").sorted() == segments)
        #expect(try CheckpointStore.open(path).verify().findings.allSatisfy { $0.kind != .damage })
    }

    @Test("a catalog of another version is set aside and built again")
    func foreignCatalog() throws {
        let directory = try TemporaryDirectory()
        let path = try store(directory)
        for content in [Data(), Data("no database at all".utf8), Data(repeating: 0, count: 100_000)] {
            try content.write(to: URL(fileURLWithPath: path + "/catalog.sqlite"))
            try check(path, "\(content.count) bytes")
        }
    }
}

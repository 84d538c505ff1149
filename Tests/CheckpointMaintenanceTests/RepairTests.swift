import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
@testable import CheckpointMaintenance
import CheckpointSegments
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

private let sizes = [40_000, 64, 20_000, 12_000]
private let starts = [0, 40_000, 40_064, 60_064]

/// Checkpoints 0 to 3: the first tensor never changes, the second always, the third at step 2, and the last one always.
private func makeStore(_ fileSystem: any FileSystem, compression: Compression = .none) throws -> [Int: [UInt8]] {
    let tensors = TestTensors(sizes: sizes)
    var options = smallOptions(workers: 2)
    options.chunkBytes = 16384
    options.arenaBytes = 4 * 16384
    options.deduplicates = true
    options.compression = compression
    let checkpointer = try Checkpointer(store: openStore(fileSystem), state: tensors, options: options)
    var contents: [Int: [UInt8]] = [:]
    for step in 0..<4 {
        checkpointer.mutate {
            if step == 0 { tensors.fillPattern(1) }
            tensors.fill(UInt64(step), tensor: 1)
            tensors.fill(UInt64(step) &* 0x1_0001, tensor: 3)
            if step == 2 { tensors.fill(77, tensor: 2) }
        }
        contents[step] = tensors.bytes
        try checkpointer.save(step: step).wait()
    }
    try checkpointer.close()
    return contents
}

/// What a store holds: bytes of whole tensors by step, and which of them are salvaged.
private func contents(of store: CheckpointStore) throws -> [(step: Int, isSalvaged: Bool, tensors: [String: [UInt8]])] {
    try store.files.names().map { name in
        let manifest = try store.files.load(name).manifest
        let reader = ContentReader(store: store, manifest: manifest)
        let tensors = try manifest.tensors.map { ($0.name, try reader.tensor($0).region.array) }
        let isSalvaged = manifest.objects.contains { $0.name == "salvage" }
        return (name.step, isSalvaged, Dictionary(uniqueKeysWithValues: tensors))
    }
}

private func slice(_ bytes: [UInt8], _ tensor: Int) -> [UInt8] { Array(bytes[starts[tensor]..<starts[tensor] + sizes[tensor]]) }

@Suite("Repairing", .timeLimit(.minutes(20)))
struct RepairTests {
    private let memory = InMemoryFileSystem()

    /// Flips a byte of a block of this tensor.
    private func damage(_ memory: InMemoryFileSystem, tensor: String, step: Int) throws -> FilePath {
        let store = try openStore(memory, for: .reading)
        let manifest = try store.load(.step(step)).manifest
        let record = try #require(manifest.tensors.first { $0.name == tensor })
        let block = manifest.blocks[manifest.chunks[record.shards[0].chunks.lowerBound].block]
        let path = store.directories.path(of: manifest.segments[block.segment].name)
        var bytes = try #require(memory.files[path])
        bytes[block.offset + block.storedBytes / 2] ^= 1
        memory.overwrite(path, with: bytes)
        return path
    }

    private func damageManifest(_ memory: InMemoryFileSystem, step: Int) throws -> FilePath {
        let name = try #require(try openStore(memory, for: .reading).files.names().first { $0.step == step })
        let path = FilePath("/store/manifests/\(name)")
        var bytes = try #require(memory.files[path])
        bytes[200] ^= 4
        memory.overwrite(path, with: bytes)
        return path
    }

    private func lost(_ report: RepairReport) -> [Int: Set<Int>] {
        Dictionary(
            uniqueKeysWithValues: report.losses.map { loss in
                (loss.damaged.step, Set(loss.lostTensors.compactMap { Int($0.split(separator: ".").last ?? "") }))
            })
    }

    /// Everything that was whole is what it was, in the checkpoint itself or in one salvaged from it, once.
    private func check(_ store: CheckpointStore, _ expected: [Int: [UInt8]], lost: [Int: Set<Int>], _ comment: Comment) throws {
        #expect(try store.verify().isWhole, comment)
        let found = try contents(of: store)
        #expect(found.map(\.step).sorted() == expected.keys.sorted(), comment)
        for checkpoint in found {
            let bytes = try #require(expected[checkpoint.step])
            let missing = lost[checkpoint.step, default: []]
            #expect(checkpoint.isSalvaged == !missing.isEmpty, comment)
            #expect(checkpoint.tensors.count == sizes.count - missing.count, comment)
            for (name, content) in checkpoint.tensors {
                let tensor = try #require(Int(name.split(separator: ".").last ?? ""))
                #expect(content == slice(bytes, tensor), comment)
            }
        }
    }

    @Test("a store in order stays as it is, to the byte")
    func nothingToDo() throws {
        _ = try makeStore(memory)
        let before = memory.files
        let report = try openStore(memory, for: .maintaining).repair()
        #expect(report.isWithoutLoss && report.quarantined.isEmpty)
        #expect(memory.files == before)
    }

    @Test("a lost block costs its tensor; the rest is salvaged, and other checkpoints move off the damaged file", arguments: [
        Compression.none, .fast,
    ])
    func salvages(compression: Compression) throws {
        let expected = try makeStore(memory, compression: compression)
        // Of step 0's segment only its own tensors change; the first tensor is shared by all.
        let path = try damage(memory, tensor: "tensor.1", step: 0)
        let damaged = memory.files[path]
        let report = try openStore(memory, for: .maintaining).repair()
        #expect(report.losses.map(\.damaged.step) == [0] && report.losses[0].lostTensors.contains("tensor.1"))
        #expect(report.moved.map(\.step) == [1, 2, 3] && report.copiedBytes > 0)
        try check(openStore(memory), expected, lost: lost(report), "\(compression)")
        // The damaged file lies in quarantine as it was.
        #expect(memory.files[FilePath("/store/quarantine/\(path.lastComponent?.string ?? "")")] == damaged)
        #expect(memory.files[path] == nil)
        let again = try openStore(memory, for: .maintaining).repair()
        #expect(again.isWithoutLoss && again.quarantined.isEmpty && again.moved.isEmpty)
    }

    @Test("what is salvaged says from which checkpoint, and never is the latest")
    func salvagedIsMarked() throws {
        _ = try makeStore(memory)
        _ = try damage(memory, tensor: "tensor.1", step: 3)
        let report = try openStore(memory, for: .maintaining).repair()
        let store = try openStore(memory, for: .reading)
        let label = try #require(report.losses.first?.salvaged)
        let manifest = try store.load(.id(prefix: label.id.description)).manifest
        #expect(manifest.runName.hasPrefix("salvaged: ") && manifest.parent?.id == report.losses[0].damaged.id)
        #expect(manifest.step == 3 && manifest.run.milliseconds == 0)
        let note = try #require(manifest.objects.first { $0.name == "salvage" })
        let text = String(decoding: try ContentReader(store: store, manifest: manifest).object(note), as: UTF8.self)
        #expect(text.contains(report.losses[0].damaged.id.description) && text.contains("tensor.1"))
        #expect(try store.load(.latest).manifest.step == 2)
    }

    @Test("a truncated segment gives what lies before its end; a missing one nothing")
    func truncatedAndMissing() throws {
        let expected = try makeStore(memory)
        let store = try openStore(memory, for: .reading)
        let own = try #require(try store.load(.step(3)).manifest.segments.last)
        let path = store.directories.path(of: own.name)
        let bytes = try #require(memory.files[path])
        memory.overwrite(path, with: Array(bytes[..<(bytes.count - 4096 * 2)]))
        let report = try openStore(memory, for: .maintaining).repair()
        #expect(!report.losses.isEmpty)
        try check(openStore(memory), expected, lost: lost(report), "truncated")
        let other = InMemoryFileSystem()
        _ = try makeStore(other)
        let gone = try #require(try openStore(other, for: .reading).load(.step(0)).manifest.segments.first)
        try other.remove(FilePath("/store/segments/\(gone.name)"))
        let second = try openStore(other, for: .maintaining).repair()
        #expect(second.losses.count == 4 && second.losses.allSatisfy { $0.lostTensors.contains("tensor.0") })
        #expect(try openStore(other).verify().isWhole)
    }

    @Test("deltas are lost with their base, and said to be")
    func deltas() throws {
        let tensors = TestTensors(sizes: [40_000])
        tensors.fillPattern(1)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions(workers: 2))
        var expected: [Int: [UInt8]] = [:]
        for step in 0..<4 {
            checkpointer.mutate { for word in 0..<20 { tensors.write(UInt64(step), atWord: word * 200 + step) } }
            expected[step] = tensors.bytes
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        _ = try openStore(memory, for: .maintaining).repack()
        let store = try openStore(memory, for: .reading)
        let manifests = try store.files.names().map { try store.files.load($0).manifest }
        let (manifest, delta) = try #require(
            manifests.lazy.compactMap { manifest in manifest.blocks.first { $0.base != nil }.map { (manifest, $0) } }.first)
        let base = manifest.blocks[try #require(delta.base)]
        let path = store.directories.path(of: manifest.segments[base.segment].name)
        var bytes = try #require(memory.files[path])
        bytes[base.offset] ^= 1
        memory.overwrite(path, with: bytes)
        let report = try openStore(memory, for: .maintaining).repair()
        #expect(report.losses.contains { $0.damaged.step == manifest.step && !$0.lostTensors.isEmpty })
        #expect(report.losses.count >= 2)
        let left = try contents(of: openStore(memory, for: .reading))
        for checkpoint in left where !checkpoint.isSalvaged { #expect(checkpoint.tensors["tensor.0"] == expected[checkpoint.step]) }
        #expect(left.count { !$0.isSalvaged } == 4 - report.losses.count)
        #expect(try openStore(memory, for: .reading).verify().isWhole)
    }

    @Test("a dry run tells the same and writes nothing")
    func dryRun() throws {
        _ = try makeStore(memory)
        _ = try damage(memory, tensor: "tensor.1", step: 1)
        _ = try damageManifest(memory, step: 2)
        let before = memory.files
        let dry = try openStore(memory, for: .reading).repair(isDryRun: true)
        #expect(memory.files == before)
        let wet = try openStore(memory, for: .maintaining).repair()
        #expect(dry.losses.map(\.damaged) == wet.losses.map(\.damaged) && dry.losses.map(\.lostTensors) == wet.losses.map(\.lostTensors))
        #expect(dry.moved == wet.moved && Set(dry.quarantined) == Set(wet.quarantined) && dry.unreadable.count == 1)
        let error = #expect(throws: CheckpointError.self) { _ = try openStore(memory, for: .reading).repair() }
        #expect(error?.code == .misuse)
    }

    @Test("beside a writer: what a save counts on stays, and the writer goes on")
    func besideAWriter() throws {
        let tensors = TestTensors(sizes: sizes)
        tensors.fillPattern(3)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions(workers: 2))
        for step in 0..<3 {
            checkpointer.mutate { tensors.fill(UInt64(step), tensor: 3) }
            try checkpointer.save(step: step).wait()
        }
        _ = try damage(memory, tensor: "tensor.3", step: 0)
        let report = try openStore(memory, for: .maintaining).repair()
        #expect(report.losses.map(\.damaged.step) == [0])
        checkpointer.mutate { tensors.fill(9, tensor: 3) }
        try checkpointer.save(step: 3).wait()
        try checkpointer.close()
        #expect(try openStore(memory, for: .reading).verify().isWhole)
        let copy = TestTensors(sizes: sizes)
        try openStore(memory, for: .reading).restore(.step(3), into: copy)
        #expect(copy.bytes == tensors.bytes)
    }

    @Test("killed at every operation: nothing that was whole is lost, nothing damaged is deleted, and another run finishes")
    func everyOperation() throws {
        var expected = try makeStore(memory)
        let segment = try damage(memory, tensor: "tensor.1", step: 1)
        let manifest = try damageManifest(memory, step: 2)
        expected[2] = nil
        var random = SeededGenerator(5)
        let untouched = memory.crashed(&random)
        let bytes = [segment, manifest].map { untouched.files[$0] }
        // What the manifest that cannot be read names may be all that is left of its checkpoint.
        let segments = untouched.files.filter { $0.key.string.hasPrefix("/store/segments/") }.map(\.value)
        for k in 0... {
            var copyRandom = SeededGenerator(UInt64(k))
            let disk = untouched.crashed(&copyRandom)
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the crash.
            _ = try? openStore(dying, for: .maintaining).repair()
            let left = disk.crashed(&random)
            let comment: Comment = "crash at operation \(k)"
            // A writer's recovery comes in between.
            _ = try openStore(left)
            let report = try openStore(left, for: .maintaining).repair()
            #expect(report.inUse.isEmpty, comment)
            try check(openStore(left), expected, lost: [1: [1]], comment)
            let kept = left.files.filter { $0.key.string.hasPrefix("/store/quarantine/") }.map(\.value)
            for file in bytes { #expect(kept.contains(try #require(file)), comment) }
            let all = Set(left.files.values)
            for file in segments { #expect(all.contains(file), comment) }
            #expect(try openStore(left, for: .reading).verify().findings.isEmpty, comment)
            if counter.operations <= k {
                #expect(k > 20)
                break
            }
        }
    }

    @Test("one failing operation is told, and another run finishes")
    func everyOperationFailsOnce() throws {
        let expected = try makeStore(memory)
        _ = try damage(memory, tensor: "tensor.1", step: 1)
        var random = SeededGenerator(6)
        let untouched = memory.crashed(&random)
        for k in 0... {
            let disk = untouched.crashed(&random)
            let counter = FaultCounter()
            let faulty = HookedFileSystem(disk, before: counter.hook(failAt: k, .noSpace, forEver: false))
            // It may end with the error or go on without what failed.
            _ = try? openStore(faulty, for: .maintaining).repair()
            _ = try openStore(disk, for: .maintaining).repair()
            try check(openStore(disk), expected, lost: [1: [1]], "failure at operation \(k)")
            let findings = try openStore(disk, for: .reading).verify().findings
            #expect(findings.isEmpty, "failure at operation \(k)")
            if counter.operations <= k { break }
        }
    }
}

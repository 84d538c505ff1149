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

private let sizes = [40_000, 64, 20_000, 9_000 * 8]

/// Weights that drift: most elements change by little from step to step.
private func train(_ tensors: TestTensors, _ random: inout SeededGenerator, step: Int) {
    if step == 0 { tensors.fillPattern(1) }
    // The first tensor stays, the last changes a little, the others entirely.
    tensors.fill(UInt64(step), tensor: 1)
    for _ in 0..<200 {
        let word = tensors.firstWord(of: 3) + Int.random(in: 0..<9_000, using: &random)
        tensors.write(UInt64.random(in: 0...9, using: &random), atWord: word)
    }
}

/// A store of so many checkpoints, and what each of them holds.
private func makeStore(
    _ fileSystem: any FileSystem, steps: Int, seed: UInt64 = 1, deduplicates: Bool = true
) throws -> [Int: [UInt8]] {
    var random = SeededGenerator(seed)
    let tensors = TestTensors(sizes: sizes)
    var options = smallOptions(workers: 2)
    options.chunkBytes = 16384
    options.arenaBytes = 4 * 16384
    options.deduplicates = deduplicates
    options.compression = .fast
    let checkpointer = try Checkpointer(store: openStore(fileSystem), state: tensors, options: options)
    var contents: [Int: [UInt8]] = [:]
    for step in 0..<steps {
        checkpointer.mutate { train(tensors, &random, step: step) }
        contents[step] = tensors.bytes
        try checkpointer.save(step: step).wait()
    }
    try checkpointer.close()
    return contents
}

private func check(_ store: CheckpointStore, _ contents: [Int: [UInt8]], _ comment: Comment) throws {
    #expect(try steps(of: store).compactMap { $0 } == contents.keys.sorted(by: >), comment)
    for (step, bytes) in contents {
        let tensors = TestTensors(sizes: sizes)
        try store.restore(.step(step), into: tensors)
        #expect(tensors.bytes == bytes, comment)
    }
}

@Suite("Repacking", .timeLimit(.minutes(20)))
struct RepackTests {
    private let memory = InMemoryFileSystem()

    private func storedBytes() -> Int {
        memory.files.filter { $0.key.string.hasPrefix("/store/segments/") }.reduce(0) { $0 + $1.value.count }
    }

    private func chains() throws -> [Int: [Int]] {
        let store = try openStore(memory, for: .reading)
        var chains: [Int: [Int]] = [:]
        for name in try store.files.names() {
            let manifest = try store.files.load(name).manifest
            chains[name.step] = manifest.blocks.indices.map { BlockRecord.chainLength($0, manifest.blocks) }
        }
        return chains
    }

    @Test("history becomes smaller and stays what it was; the newest is no delta; a second run finds nothing", arguments: [true, false])
    func shrinks(deduplicates: Bool) throws {
        let contents = try makeStore(memory, steps: 12, deduplicates: deduplicates)
        let before = storedBytes()
        let store = try openStore(memory, for: .maintaining)
        let report = try store.repack()
        #expect(report.checkpoints.map(\.step) == Array((0..<11).reversed()))
        #expect(storedBytes() < before && report.bytesSaved > 0 && report.checkpoints.contains { $0.deltaCount > 0 })
        try check(store, contents, "repacked")
        #expect(try store.verify().isWhole)
        let chains = try chains()
        #expect(chains[11]?.allSatisfy { $0 == 0 } == true)
        #expect(chains.values.joined().max() == 8)
        let again = try store.repack()
        #expect(again.bytesSaved == 0 && again.checkpoints.allSatisfy { $0.skipped != nil })
        try check(store, contents, "repacked twice")
        #expect(try memory.list("/store/staging").isEmpty)
    }

    @Test("chains are as long as was asked for", arguments: 1...3)
    func chainMax(length: Int) throws {
        let contents = try makeStore(memory, steps: 7)
        var options = RepackOptions()
        (options.chainMax, options.threads) = (length, 1)
        let store = try openStore(memory, for: .maintaining)
        _ = try store.repack(options)
        #expect(try chains().values.joined().max() == length)
        try check(store, contents, "chains of \(length)")
    }

    @Test("a dry run says what would be saved, and changes nothing")
    func dryRun() throws {
        _ = try makeStore(memory, steps: 6)
        let before = memory.files
        var options = RepackOptions()
        options.isDryRun = true
        let dry = try openStore(memory, for: .reading).repack(options)
        #expect(memory.files == before && dry.bytesSaved > 0)
        let wet = try openStore(memory, for: .maintaining).repack()
        #expect(wet.bytesSaved == dry.bytesSaved)
    }

    private func segments() throws -> (there: Set<String>, named: Set<String>) {
        let store = try openStore(memory, for: .reading)
        let named = try store.files.names().flatMap { try store.files.load($0).manifest.segments.map(\.name.description) }
        return (Set(try memory.list("/store/segments")), Set(named))
    }

    @Test("a repack that finds no room for a manifest leaves no segment behind")
    func noRoomForAManifest() throws {
        let contents = try makeStore(memory, steps: 4, deduplicates: false)
        let full = HookedFileSystem(memory) { operation throws(FileSystemError) in
            guard operation.verb == "create", operation.path.extension == "manifest" else { return }
            throw FileSystemError("open(2)", operation.path, .noSpace)
        }
        let error = #expect(throws: CheckpointError.self) { _ = try openStore(full, for: .maintaining).repack() }
        #expect(error?.code == .noSpace)
        #expect(try segments().there == segments().named)
        try check(openStore(memory, for: .reading), contents, "after no room")
    }

    @Test("segments that a killed repack replaced and did not remove, the next writer removes")
    func leftOver() throws {
        let contents = try makeStore(memory, steps: 6, deduplicates: false)
        let dying = HookedFileSystem(memory) { operation throws(FileSystemError) in
            guard operation.verb == "remove", operation.path.string.hasPrefix("/store/segments/") else { return }
            throw FileSystemError("unlink(2)", operation.path, .ioError)
        }
        _ = try openStore(dying, for: .maintaining).repack()
        #expect(try segments().there.count > segments().named.count)
        _ = try openStore(memory)
        #expect(try segments().there == segments().named)
        try check(openStore(memory, for: .reading), contents, "after recovery")
    }

    @Test("one tensor of a repacked checkpoint is read without the others")
    func randomAccess() throws {
        _ = try makeStore(memory, steps: 6)
        let store = try openStore(memory, for: .maintaining)
        _ = try store.repack()
        let manifest = try store.load(.step(1)).manifest
        let record = try #require(manifest.tensors.first { $0.name == "tensor.1" })
        let tensor = try ContentReader(store: store, manifest: manifest).tensor(record)
        #expect(tensor.view.byteCount == 64)
    }

    @Test("saves go on from a repacked store, and reuse what is no delta")
    func goesOn() throws {
        var contents = try makeStore(memory, steps: 5)
        _ = try openStore(memory, for: .maintaining).repack()
        let tensors = TestTensors(sizes: sizes)
        var options = smallOptions()
        (options.chunkBytes, options.deduplicates, options.keepLast) = (16384, true, 2)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        try checkpointer.restore(.step(2))
        #expect(tensors.bytes == contents[2])
        for step in 20...23 {
            checkpointer.mutate { tensors.fill(UInt64(step), tensor: 1) }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        contents[20] = nil
        contents[21] = nil
        try check(checkpointer.store, contents, "after further saves")
        #expect(try checkpointer.store.verify().isWhole)
        _ = try openStore(memory, for: .maintaining).repack()
        try check(checkpointer.store, contents, "repacked again")
    }

    @Test("who has read a manifest that is replaced meanwhile reads the new one")
    func replacedMeanwhile() throws {
        let contents = try makeStore(memory, steps: 4)
        let store = try openStore(memory, for: .reading)
        let name = try #require(try store.files.names().first { $0.step == 1 })
        var tries = 0
        let read = try store.files.reading(name) { manifest throws(CheckpointError) in
            tries += 1
            if tries == 1 { _ = try openStore(memory, for: .maintaining).repack() }
            let reader = ContentReader(store: store, manifest: manifest)
            var bytes: [UInt8] = []
            for tensor in manifest.tensors { bytes += try reader.tensor(tensor).region.array }
            return bytes
        }
        #expect(tries == 2 && read == contents[1])
        #expect(throws: CheckpointError.self, "nothing new, and still wrong") {
            try store.files.reading(name) { _ throws(CheckpointError) in throw CheckpointError(.notFound, "gone") }
        }
    }

    @Test("damage to a block costs those that are based on it, and verify says so")
    func damagedBase() throws {
        _ = try makeStore(memory, steps: 4)
        let store = try openStore(memory, for: .maintaining)
        _ = try store.repack()
        let manifest = try store.load(.step(1)).manifest
        let delta = try #require(manifest.blocks.first { $0.base != nil })
        let base = manifest.blocks[try #require(delta.base)]
        let path = store.directories.path(of: manifest.segments[base.segment].name)
        var bytes = try #require(memory.files[path])
        bytes[base.offset + base.storedBytes / 2] ^= 1
        memory.overwrite(path, with: bytes)
        let report = try store.verify()
        #expect(!report.isWhole && report.findings.contains { Set($0.checkpoints.map(\.step)).isSuperset(of: [1]) && !$0.tensors.isEmpty })
        #expect(throws: CheckpointError.self) { try store.restore(.step(1), into: TestTensors(sizes: sizes)) }
    }

    @Test("only one process maintains a store; a writer leaves its work alone, and tries again later")
    func excludes() throws {
        let tensors = TestTensors(sizes: [8192])
        let warnings = Box<[String]>([])
        var options = smallOptions()
        options.keepLast = 1
        options.onEvent = { if case .warning(let text) = $0 { warnings.value.append(text) } }
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        try checkpointer.save(step: 1).wait()
        do {
            let maintaining = try openStore(memory, for: .maintaining)
            let error = #expect(throws: CheckpointError.self) { _ = try openStore(memory, for: .maintaining) }
            #expect(error?.code == .busy && maintaining.access == .maintaining)
            checkpointer.mutate { tensors.fill(2) }
            try checkpointer.save(step: 2).wait()
            try #require(eventually { !warnings.value.isEmpty })
        }
        #expect(try steps(of: checkpointer.store) == [2, 1])
        checkpointer.mutate { tensors.fill(3) }
        try checkpointer.save(step: 3).wait()
        try checkpointer.close()
        #expect(try steps(of: checkpointer.store) == [3])
    }

    @Test("a writer that removes checkpoints knows of what has been repacked since it counted them")
    func writerCountsAgain() throws {
        let tensors = TestTensors(sizes: [40_000])
        tensors.fillPattern(1)
        var options = smallOptions()
        options.keepLast = 3
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        var contents: [Int: [UInt8]] = [:]
        func save(_ step: Int) throws {
            checkpointer.mutate { tensors.write(UInt64(step), atWord: step * 7) }
            contents[step] = tensors.bytes
            try checkpointer.save(step: step).wait()
        }
        for step in 1...5 { try save(step) }
        // 3 and 4 become deltas of 5; then 5 goes before... nothing may go that 4 needs.
        _ = try openForMaintaining(memory).repack()
        for step in 6...7 { try save(step) }
        try checkpointer.close()
        #expect(try steps(of: checkpointer.store) == [7, 6, 5])
        #expect(try checkpointer.store.verify().isWhole)
        let copy = TestTensors(sizes: [40_000])
        for step in 5...7 {
            try checkpointer.store.restore(.step(step), into: copy)
            #expect(copy.bytes == contents[step])
        }
    }

    @Test("killed at every operation: every checkpoint is what it was, and another run finishes", arguments: 0..<2 as Range<UInt64>)
    func everyOperation(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let contents = try makeStore(memory, steps: 3, seed: seed)
        let untouched = memory.crashed(&random)
        for k in 0... {
            var copyRandom = SeededGenerator(UInt64(k))
            let disk = untouched.crashed(&copyRandom)
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the crash.
            _ = try? openStore(dying, for: .maintaining).repack()
            let left = disk.crashed(&random)
            let comment: Comment = "crash at operation \(k), seed \(seed)"
            let store = try openStore(left)
            try check(store, contents, comment)
            #expect(try store.verify().isWhole, comment)
            #expect(try left.list("/store/staging").isEmpty, comment)
            _ = try openStore(left, for: .maintaining).repack()
            try check(store, contents, comment)
            if counter.operations <= k {
                #expect(k > 20)
                break
            }
        }
    }

    @Test("a repack is killed at any operation, a writer opens the store, and then power fails")
    func killedBefore() throws {
        let contents = try makeStore(memory, steps: 3, seed: 1)
        var random = SeededGenerator(1)
        let untouched = memory.crashed(&random)
        for k in 0... {
            let disk = untouched.killed()
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the kill.
            _ = try? openStore(dying, for: .maintaining).repack()
            let next = disk.killed()
            _ = try openStore(next)
            for _ in 0..<4 {
                let store = try openStore(next.crashed(&random), for: .maintaining)
                try check(store, contents, "killed at operation \(k)")
                #expect(try store.verify().isWhole, "killed at operation \(k)")
            }
            if counter.operations <= k { break }
        }
    }

    @Test("a repack is killed while a writer opens the store, and then power fails")
    func killedMeanwhile() throws {
        let contents = try makeStore(memory, steps: 3, seed: 1)
        var random = SeededGenerator(7)
        let untouched = memory.crashed(&random)
        for k in 0... {
            let (disk, counter, isOver) = (untouched.killed(), FaultCounter(), Box(false))
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The writer has synced the manifests by now.
            let opening = HookedFileSystem(disk) { operation throws(FileSystemError) in
                guard operation.verb == "syncdir", operation.path == "/store", !isOver.value else { return }
                isOver.value = true
                HeldLocks.settingAside { _ = try? openStore(dying, for: .maintaining).repack() }
            }
            _ = try openStore(opening)
            #expect(isOver.value)
            for _ in 0..<4 {
                let store = try openStore(disk.crashed(&random), for: .maintaining)
                try check(store, contents, "killed at operation \(k)")
                #expect(try store.verify().isWhole, "killed at operation \(k)")
            }
            if counter.operations <= k { break }
        }
    }

    @Test("one failing operation costs nothing but that run")
    func everyOperationFailsOnce() throws {
        let contents = try makeStore(memory, steps: 4)
        var random = SeededGenerator(1)
        let untouched = memory.crashed(&random)
        for k in 0... {
            let disk = untouched.crashed(&random)
            let counter = FaultCounter()
            let faulty = HookedFileSystem(disk, before: counter.hook(failAt: k, .noSpace, forEver: false))
            // It may end with the error or go on without what failed.
            _ = try? openStore(faulty, for: .maintaining).repack()
            let store = try openStore(disk)
            try check(store, contents, "failure at operation \(k)")
            #expect(try store.verify().isWhole)
            if counter.operations <= k { break }
        }
    }
}

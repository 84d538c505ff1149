import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
import CheckpointSegments
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

private func reusingOptions(_ compression: Compression = .none, workers: Int = 1) -> CheckpointerOptions {
    var options = smallOptions(workers: workers)
    options.deduplicates = true
    options.compression = compression
    return options
}

@Suite("What the store holds already is not written again", .timeLimit(.minutes(20)))
struct ReuseTests {
    private let memory = InMemoryFileSystem()

    private func report(_ checkpointer: Checkpointer, step: Int) throws -> SaveReport {
        let ticket = try checkpointer.save(step: step)
        try ticket.wait()
        return try #require(ticket.report)
    }

    private func checkpointer(
        _ tensors: TestTensors, _ options: CheckpointerOptions = reusingOptions()
    ) throws -> Checkpointer {
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        checkpointer.reuse?.waitUntilHistoryIsRead()
        return checkpointer
    }

    private func checkWhole(_ store: CheckpointStore, _ step: Int, _ expected: [UInt8], _ sizes: [Int], _ comment: Comment) throws {
        let copy = TestTensors(sizes: sizes)
        try store.restore(.step(step), into: copy)
        #expect(copy.bytes == expected, comment)
    }

    @Test(
        "an unchanged state costs no write, and its checkpoint is whole after the first has gone",
        arguments: [Compression.none, .zstd(level: 1)])
    func unchanged(compression: Compression) throws {
        let sizes = [40_000, 64, 20_000]
        let tensors = TestTensors(sizes: sizes)
        tensors.fillPattern(1)
        var options = reusingOptions(compression)
        options.keepLast = 1
        let checkpointer = try checkpointer(tensors, options)
        let first = try report(checkpointer, step: 1)
        let second = try report(checkpointer, step: 2)
        try checkpointer.close()
        #expect(first.newBytes == first.storedBytes && first.reusedBytes == 0)
        #expect(second.newBytes == 0 && second.reusedBytes == 60_064 && second.storedBytes == first.storedBytes)
        #expect(try steps(of: checkpointer.store) == [2])
        #expect(try memory.list("/store/segments").count == 1)
        #expect(try checkpointer.store.verify().isWhole)
        try checkWhole(checkpointer.store, 2, tensors.bytes, sizes, "after the first has gone")
    }

    @Test("what was imported never stands in for what is trained; an import names both")
    func imports() throws {
        let tensors = TestTensors(sizes: [40_000])
        tensors.fillPattern(1)
        var importing = reusingOptions()
        (importing.kind, importing.run) = (.imported, "pretrained")
        let first = try checkpointer(tensors, importing)
        try first.save(step: 0).wait()
        try first.close()
        try first.store.close()
        let training = try checkpointer(tensors)
        let (own, next) = (try report(training, step: 1), try report(training, step: 2))
        try training.close()
        try training.store.close()
        #expect(own.reusedBytes == 0 && own.newBytes == own.storedBytes)
        #expect(next.reusedBytes == 40_000 && next.newBytes == 0)
        importing.run = "again"
        let second = try checkpointer(tensors, importing)
        #expect(try report(second, step: 0).reusedBytes == 40_000)
        try second.close()
    }

    @Test(
        "whatever changes, every checkpoint is what was captured, and only what changed is written",
        arguments: 0..<6 as Range<UInt64>, [Compression.none, .zstd(level: 1)])
    func randomChanges(seed: UInt64, compression: Compression) throws {
        var random = SeededGenerator(seed)
        let sizes = (0..<30).map { _ in [8, 512, 2048, 4096, 6000, 8192, 30_000].randomElement(using: &random) ?? 8 }
        let tensors = TestTensors(sizes: sizes, groups: ["a", "b", "c"])
        tensors.fillPattern(seed)
        var options = reusingOptions(compression, workers: 2)
        options.chunkBytes = 16384
        options.arenaBytes = 4 * 16384
        let checkpointer = try checkpointer(tensors, options)
        var expected: [[UInt8]] = []
        for step in 0..<6 {
            var changed = 0
            if step > 0 {
                for _ in 0..<Int.random(in: 0..<4, using: &random) {
                    let tensor = Int.random(in: sizes.indices, using: &random)
                    // Some contents come back, and some tensors come to be the same.
                    checkpointer.mutate(tensors.group(of: tensor)) { tensors.fill(random.next() % 4, tensor: tensor) }
                    changed += sizes[tensor]
                }
            }
            let ticket = try checkpointer.save(step: step)
            expected.append(tensors.bytes)
            try ticket.wait()
            let report = try #require(ticket.report)
            // A changed tensor may take its small neighbours in the block along.
            if step > 0 { #expect(report.newBytes <= changed + 4 * 16384, "seed \(seed), step \(step)") }
        }
        try checkpointer.close()
        #expect(try checkpointer.store.verify().isWhole, "seed \(seed)")
        for (step, bytes) in expected.enumerated() {
            try checkWhole(checkpointer.store, step, bytes, sizes, "seed \(seed), step \(step)")
        }
    }

    @Test("equal tensors of one save are stored once")
    func equalTensors() throws {
        let sizes = [20_000, 20_000, 4096, 20_000]
        let tensors = TestTensors(sizes: sizes)
        for tensor in [0, 1, 3] { tensors.fill(7, tensor: tensor) }
        let checkpointer = try checkpointer(tensors)
        let report = try report(checkpointer, step: 1)
        try checkpointer.close()
        // A page of sevens, one of zeros, and what is left of 20,000 bytes.
        #expect(report.newBytes == 4096 + 4096 + 20_000 % 4096)
        #expect(try checkpointer.store.verify().isWhole)
        try checkWhole(checkpointer.store, 1, tensors.bytes, sizes, "equal tensors")
    }

    @Test("a later run reuses what earlier ones have written, however many there are")
    func acrossRuns() throws {
        let tensors = TestTensors(sizes: [40_000])
        for step in 1...5 {
            tensors.fillPattern(UInt64(step))
            let checkpointer = try checkpointer(tensors)
            #expect(try report(checkpointer, step: step).reusedBytes == 0)
            try checkpointer.close()
            try checkpointer.store.close()
        }
        for step in [1, 4] {
            tensors.fillPattern(UInt64(step))
            let checkpointer = try checkpointer(tensors)
            #expect(try report(checkpointer, step: 10 + step).newBytes == 0)
            try checkpointer.close()
        }
    }

    @Test("a checkpoint that somebody has removed, or changed, is not reused")
    func removedByOthers() throws {
        let tensors = TestTensors(sizes: [40_000])
        let checkpointer = try checkpointer(tensors)
        for step in 1...3 {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        let paths = (1...3).map { FilePath("/store/manifests").appending(ManifestName(run: checkpointer.run, step: $0).description) }
        try memory.remove(paths[0])
        memory.overwrite(paths[1], with: try memory.contents(of: paths[2], atMost: 1 << 20) ?? [])
        for step in 1...2 {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            #expect(try report(checkpointer, step: 10 + step).reusedBytes == 0)
        }
        try checkpointer.close()
    }

    @Test("a checkpoint that a save in flight reuses cannot be removed, by this process or another; then it can")
    func held() throws {
        let directory = try TemporaryDirectory()
        let gate = Gate(isOpen: true)
        let disk = HookedFileSystem(POSIXFileSystem()) { operation throws(FileSystemError) in
            try gate.holdWrite(operation)
        }
        let store = try CheckpointStore(
            fileSystem: disk, root: FilePath(directory.path).appending("store"), access: .writing, catalog: .nowhere)
        let tensors = TestTensors(sizes: [40_000, 8192])
        tensors.fillPattern(1)
        let checkpointer = try Checkpointer(store: store, state: tensors, options: reusingOptions())
        try checkpointer.save(step: 1).wait()
        checkpointer.mutate { tensors.fill(2, tensor: 1) }
        gate.isOpen = false
        let second = try checkpointer.save(step: 2)
        try second.wait(for: .captured)
        let name = ManifestName(run: checkpointer.run, step: 1)
        let path = store.directories.path(of: name)
        #expect(try disk.reopen(path) == nil)
        #expect(checkpointer.reuse?.retire([name]) == [])
        gate.isOpen = true
        try second.wait()
        #expect(checkpointer.reuse?.retire([name]) == [name])
        #expect(try disk.reopen(path) != nil)
        try checkpointer.close()
    }

    @Test("a checkpoint expires only when no save in flight reuses it any more")
    func expiring() throws {
        let gates = [2: Gate(isOpen: false), 3: Gate(isOpen: false)]
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            guard operation.verb == "link" else { return }
            let step = operation.path.stem?.last.flatMap { $0.wholeNumberValue } ?? 0
            guard let gate = gates[step], !gate.wait() else { return }
            throw FileSystemError(operation.verb, operation.path, .timedOut)
        }
        let sizes = [40_000, 8192]
        let tensors = TestTensors(sizes: sizes)
        var options = reusingOptions(workers: 3)
        (options.keepLast, options.arenaBytes) = (1, 4 << 20)
        let checkpointer = try Checkpointer(
            store: openStore(disk), state: tensors, options: options)
        tensors.fillPattern(1)
        try checkpointer.save(step: 1).wait()
        // Held before its commit, while the next one finds all of its bytes in the first.
        checkpointer.mutate { tensors.fillPattern(2) }
        let second = try checkpointer.save(step: 2)
        try second.wait(for: .captured)
        checkpointer.mutate { tensors.fillPattern(1) }
        let (third, expected) = (try checkpointer.save(step: 3), tensors.bytes)
        try third.wait(for: .captured)
        gates[2]?.isOpen = true
        try second.wait()
        checkpointer.completion.removeExpired()
        #expect(try openStore(memory, for: .reading).files.names().map(\.step) == [1, 2])
        gates[3]?.isOpen = true
        try third.wait()
        #expect(third.report?.reusedBytes == 48_192)
        try checkpointer.close()
        let store = try openStore(memory, for: .reading)
        #expect(try store.verify().isWhole)
        #expect(try store.files.names().map(\.step) == [3])
        try checkWhole(store, 3, expected, sizes, "")
    }

    @Test("a failed save leaves nothing behind that a later one could name")
    func failing() throws {
        let isBroken = Box(false)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if isBroken.value, operation.verb.hasPrefix("sync") { throw FileSystemError("fsync(2)", "/store", .ioError) }
        }
        let tensors = TestTensors(sizes: [40_000])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: reusingOptions())
        tensors.fillPattern(1)
        isBroken.value = true
        #expect(throws: CheckpointError.self) { try checkpointer.save(step: 1).wait() }
        isBroken.value = false
        #expect(try report(checkpointer, step: 2).reusedBytes == 0)
        #expect(throws: Never.self) { try checkpointer.close() }
        #expect(try checkpointer.store.verify().isWhole)
    }

    @Test("the index stays within its bounds, forgetting the oldest checkpoints first")
    func bounds() {
        let reuse = BlockReuse(files: ManifestFiles(fileSystem: memory, directories: .init(root: "/store")), chunksMax: 3000)
        let run = RunID.next(clockMilliseconds: 1, after: nil)
        for step in 0..<40 {
            reuse.add(tables(step: step, chunks: 500), name: ManifestName(run: run, step: step), isNewest: true)
            #expect(reuse.chunkCount <= 3000)
        }
        #expect(reuse.chunkCount >= 2500)
        #expect(reuse.knows(hash(step: 39, 499), bytes: 100) && !reuse.knows(hash(step: 0, 0), bytes: 100))
        #expect(!reuse.knows(hash(step: 39, 499), bytes: 101))
    }

    private func hash(step: Int, _ chunk: Int) -> Hash128 {
        Hash128(rawValue: (UInt128(step) << 64 | UInt128(chunk)) &* 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
    }

    private func tables(step: Int, chunks: Int) -> Manifest.Tables {
        let id = CheckpointID.random()
        var manifest = Manifest(
            id: id, store: .random(), run: .next(clockMilliseconds: 1, after: nil), runName: "", step: step, created: 0, writer: "")
        manifest.segments = [
            SegmentReference(name: SegmentName(attempt: id, rank: 0, number: 0), fileBytes: 8192, trailerHash: Hash128(rawValue: 0))
        ]
        let location = SegmentBlock(offset: 4096, storedBytes: 4000, rawBytes: 4000, storedHash: 0, codec: .raw)
        manifest.blocks = [BlockRecord(segment: 0, location: location)]
        manifest.chunks = (0..<chunks).map { ChunkRecord(hash: hash(step: step, $0), block: 0, offset: 0, bytes: 100, epoch: 0) }
        return Manifest.Tables(manifest, hash: hash(step: step, chunks))
    }
}

@Suite("Crash at every operation of saves that reuse blocks", .timeLimit(.minutes(20)))
struct ReuseCrashTests {
    private static let sizes = [12_000, 8, 4096, 20_000]

    /// The first tensor stays, the second changes always, the others now and then.
    private static func change(_ tensors: TestTensors, step: Int) {
        if step == 1 { tensors.fillPattern(1) }
        tensors.fill(UInt64(step), tensor: 1)
        if step % 2 == 0 { tensors.fill(UInt64(100 + step), tensor: 2) }
        if step % 3 == 0 { tensors.fill(UInt64(step / 3 % 2), tensor: 3) }
    }

    private func workload(_ fileSystem: any FileSystem, keepLast: Int?) -> [Int] {
        var committed: [Int] = []
        var options = reusingOptions()
        options.keepLast = keepLast
        let tensors = TestTensors(sizes: Self.sizes)
        do {
            let checkpointer = try Checkpointer(store: openStore(fileSystem), state: tensors, options: options)
            for step in 1...5 {
                checkpointer.mutate { Self.change(tensors, step: step) }
                try checkpointer.save(step: step).wait()
                committed.append(step)
            }
            try checkpointer.close()
        } catch {}
        return committed
    }

    @Test("what was acknowledged is kept and whole, whatever it shares with what has gone", arguments: [nil, 1, 2] as [Int?])
    func everyOperation(keepLast: Int?) throws {
        var random = SeededGenerator(1)
        for k in 0... {
            let memory = InMemoryFileSystem()
            let counter = FaultCounter()
            let acknowledged = workload(
                HookedFileSystem(memory, before: counter.hook(failAt: k, .ioError, forEver: true)), keepLast: keepLast)
            let left = memory.crashed(&random)
            let store = try openStore(left)
            let found = try steps(of: store).compactMap { $0 }
            #expect(Set(found).isSuperset(of: acknowledged.suffix(keepLast ?? 5)), "crash at operation \(k)")
            #expect(try store.verify().isWhole, "crash at operation \(k)")
            let expected = TestTensors(sizes: Self.sizes)
            for step in 1...5 {
                Self.change(expected, step: step)
                guard found.contains(step) else { continue }
                let tensors = TestTensors(sizes: Self.sizes)
                try store.restore(.step(step), into: tensors)
                #expect(tensors.bytes == expected.bytes, "crash at operation \(k)")
            }
            #expect(try left.list("/store/staging").isEmpty)
            if counter.operations <= k {
                #expect(acknowledged == [1, 2, 3, 4, 5] && k > 60)
                break
            }
        }
    }
}

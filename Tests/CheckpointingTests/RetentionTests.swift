import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

@Suite("Retention", .timeLimit(.minutes(20)))
struct RetentionTests {
    private let memory = InMemoryFileSystem()

    private func options(_ keepLast: Int, recycles: Bool = true) -> CheckpointerOptions {
        var options = smallOptions()
        options.keepLast = keepLast
        options.mechanisms.recycles = recycles
        return options
    }

    @Test("a segment that has a name elsewhere is not written over")
    func linkedElsewhere() throws {
        let memory = InMemoryFileSystem()
        let tensors = TestTensors(sizes: [40_000])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options(1))
        var kept: [FilePath: [UInt8]] = [:]
        for step in 1...6 {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step).wait()
            guard step == 2, let segment = try memory.list("/store/segments").first else { continue }
            try memory.makeDirectory("/backup")
            try memory.link(FilePath("/store/segments/\(segment)"), to: FilePath("/backup/\(segment)"))
            kept = memory.files.filter { $0.key.string.hasPrefix("/backup/") }
        }
        try checkpointer.close()
        #expect(kept.count == 1 && memory.files.filter { $0.key.string.hasPrefix("/backup/") } == kept)
    }

    @Test("a restore begins after the removal of old checkpoints, not in the middle of it")
    func restoreWaitsForRemoval() throws {
        let (gate, isRemoving, isRestored) = (Gate(isOpen: false), Box(false), Box(false))
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            guard operation.verb == "remove", operation.path.starts(with: "/store/manifests") else { return }
            isRemoving.value = true
            gate.wait()
        }
        let tensors = TestTensors(sizes: [40_000])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options(1, recycles: false))
        for step in 1...2 {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        #expect(eventually { isRemoving.value })
        let trainer = try WorkerThread(name: "trainer") {
            // Step 1 is being removed.
            _ = try? checkpointer.restore(.step(1))
            isRestored.value = true
        }
        sleepMilliseconds(100)
        #expect(!isRestored.value)
        gate.isOpen = true
        trainer.join()
        #expect(isRestored.value)
        #expect(throws: CheckpointError.self) { try checkpointer.restore(.step(1)) }
        #expect(try checkpointer.restore(.step(2)).step == 2)
        try checkpointer.close()
    }

    @Test("a save whose outcome is unknown may be there, and what it names stays")
    func unknownOutcome() throws {
        let memory = InMemoryFileSystem()
        let isBroken = Monitor(false, rank: .unchecked)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            guard operation.verb == "syncdir", operation.path == "/store/manifests", isBroken.withLock({ $0 }) else { return }
            throw FileSystemError("fsync(2)", operation.path, .ioError)
        }
        let tensors = TestTensors(sizes: [40_000, 40_000])
        var options = self.options(2)
        options.deduplicates = true
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options)
        for step in 1...7 {
            // What is new in step 3 is the same in step 4, and in no other.
            checkpointer.mutate {
                tensors.fill(UInt64(step == 4 ? 3 : step), tensor: 0)
                tensors.fill(UInt64(step), tensor: 1)
            }
            isBroken.withLock { $0 = step == 4 }
            let ticket = try checkpointer.save(step: step)
            if step == 4 { #expect(throws: CheckpointError.self) { try ticket.wait() } } else { try ticket.wait() }
            #expect(try openStore(memory, for: .reading).verify().isWhole, "step \(step)")
        }
        try checkpointer.close()
    }

    @Test("old checkpoints go with their segments, those of an earlier run stay, and what remains is whole", arguments: [true, false])
    func removes(recycles: Bool) throws {
        let tensors = TestTensors(sizes: [20_000, 64])
        let store = try openStore(memory)
        for keepLast in [5, 2] {
            let checkpointer = try Checkpointer(store: store, state: tensors, options: options(keepLast, recycles: recycles))
            for step in 1...5 {
                checkpointer.mutate { tensors.fill(UInt64(step)) }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.close()
        }
        #expect(try steps(of: store) == [5, 4, 5, 4, 3, 2, 1])
        #expect(try memory.list("/store/segments").count == 7)
        #expect(try memory.list("/store/staging").isEmpty)
        #expect(try store.verify().isWhole)
        let copy = TestTensors(sizes: [20_000, 64])
        try store.restore(.latest, into: copy)
        #expect(copy.distinctValues == [5])
    }

    @Test("a smaller save leaves nothing of the larger one whose file it writes over")
    func shrinks() throws {
        let sizes = Box([40_000])
        struct Changing: StateProvider {
            let sizes: Box<[Int]>
            let tensors: TestTensors
            func describe(to inventory: inout StateInventory) throws {
                try TestTensors(sizes: sizes.value).describe(to: &inventory)
            }
        }
        let state = Changing(sizes: sizes, tensors: TestTensors(sizes: [40_000]))
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: options(1))
        for (step, size) in [40_000, 40_000, 8, 30_000, 16].enumerated() {
            sizes.value = [size]
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        #expect(try checkpointer.store.verify().isWhole)
    }

    @Test("a manifest that cannot be read stops the removal of segments, and is told of")
    func damagedManifest() throws {
        let tensors = TestTensors(sizes: [64])
        let warnings = Box<[String]>([])
        var options = options(1)
        options.onEvent = { if case .warning(let text) = $0 { warnings.value.append(text) } }
        let first = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        try first.save(step: 1).wait()
        try first.close()
        memory.overwrite(FilePath("/store/manifests/\(ManifestName(run: first.run, step: 1))"), with: [1, 2, 3])
        let second = try Checkpointer(store: first.store, state: tensors, options: options)
        for step in 1...3 {
            second.mutate { tensors.fill(UInt64(step)) }
            try second.save(step: step).wait()
        }
        try second.close()
        #expect(warnings.value.contains { $0.hasPrefix("old checkpoints were not deleted") })
        #expect(try memory.list("/store/segments").count == 4)
    }
}

@Suite("Segments that are written over", .timeLimit(.minutes(20)))
struct RecyclingTests {
    @Test("a file that is being read is not written over; one that is being written over cannot be opened")
    func readersAreSafe() throws {
        let directory = try TemporaryDirectory()
        let fileSystem = POSIXFileSystem()
        let path = FilePath(directory.path).appending("file")
        try fileSystem.createDurably(path, [1, 2, 3])
        var reader: (any ReadableFile)? = try fileSystem.open(path)
        #expect(try reader?.size == 3 && fileSystem.reopen(path) == nil)
        reader = nil
        let writer = try #require(try fileSystem.reopen(path))
        #expect(throws: FileSystemError("flock(2)", path, .noSuchFileOrDirectory)) { try fileSystem.open(path) }
        try writer.write([9, 9, 9, 9], at: 0)
        try writer.truncate(to: 2)
        writer.close()
        #expect(try fileSystem.contents(of: path, atMost: 10) == [9, 9])
    }

    @Test("a checkpoint that expires while it is read is read whole, or refused; it never comes back as another")
    func expiringWhileRead() throws {
        let directory = try TemporaryDirectory()
        let tensors = TestTensors(sizes: [200_000, 8])
        var options = smallOptions(workers: 2)
        options.keepLast = 1
        let checkpointer = try Checkpointer(
            store: CheckpointStore.open(directory.path, for: .writing), state: tensors, options: options)
        let reader = try WorkerOutcome<[String]> {
            var problems: [String] = []
            for _ in 0..<60 {
                let store = try CheckpointStore.open(directory.path)
                let copy = TestTensors(sizes: [200_000, 8])
                do {
                    let report = try store.restore(.latest, into: copy)
                    if copy.distinctValues != [UInt64(report.step)] { problems.append("step \(report.step) is torn") }
                } catch let error as CheckpointError where [.notFound, .damaged].contains(error.code) {
                    // It has expired meanwhile.
                }
            }
            return problems
        }
        for step in 1...80 {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step).wait()
        }
        #expect(try reader.value() == [])
        try checkpointer.close()
        #expect(try checkpointer.store.verify().isWhole)
    }
}

/// What a thread of its own comes to.
private final class WorkerOutcome<Value: Sendable>: Sendable {
    private let result = Monitor<Result<Value, any Error>?>(nil)

    init(_ body: @escaping @Sendable () throws -> Value) throws {
        let result = result
        _ = try WorkerThread(name: "reader") {
            let outcome = Result { try body() }
            result.withLock { $0 = outcome }
        }
    }

    func value() throws -> Value { try result.waitFor { $0 }.get() }
}

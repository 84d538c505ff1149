internal import CheckpointDevices
import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite("Checkpointer", .timeLimit(.minutes(20)))
struct CheckpointerTests {
    private let memory = InMemoryFileSystem()

    @Test(
        "what is saved comes back, with every compression, from every place to every other",
        arguments: [Compression.none, .lz4, .zstd(level: 3)], Placement.allCases)
    func roundTrip(compression: Compression, placement: Placement) throws {
        let tensors = try placement.tensors(sizes: [30_000, 0, 8, 4096, 100_000], groups: ["a", "b"])
        tensors.fillPattern(5)
        var options = smallOptions(workers: 2)
        options.compression = compression
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        try checkpointer.save(step: 1, metrics: ["loss": 2.5, "bad": .nan]).wait()
        var report = try checkpointer.store.restore(.latest, into: tensors)
        for home in Placement.allCases {
            let copy = try home.tensors(sizes: [30_000, 0, 8, 4096, 100_000], groups: ["a", "b"])
            report = try checkpointer.store.restore(.latest, into: copy)
            #expect(copy.bytes == tensors.bytes, "\(home)")
            #expect(copy.device?.report.misuses ?? [] == [])
        }
        #expect(report.step == 1)
        #expect(report.metrics["loss"] == 2.5)
        #expect(report.metrics["bad"]?.isNaN == true)
        try checkpointer.close()
    }

    @Test("compressible state is stored smaller, incompressible state never larger than a page more")
    func compressionPays() throws {
        let tensors = TestTensors(sizes: [64 << 10])
        var options = smallOptions()
        options.chunkBytes = 64 << 10
        options.compression = .zstd(level: 3)
        let reports = Mutex<[SaveReport]>([])
        options.onEvent = { if case .committed(let report) = $0 { reports.withLock { $0.append(report) } } }
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        tensors.fill(7)
        try checkpointer.save(step: 1).wait()
        checkpointer.mutate { tensors.fillPattern(3) }
        try checkpointer.save(step: 2).wait()
        try checkpointer.close()
        let stored = reports.withLock { $0.map(\.storedBytes) }
        #expect(stored.count == 2)
        #expect(stored[0] < 1000)
        #expect(stored[1] == 64 << 10)
    }

    @Test("an arena of one chunk is enough for tensors larger than it", arguments: Placement.allCases)
    func arenaOfOneChunk(placement: Placement) throws {
        let tensors = try placement.tensors(sizes: [50_000, 20_000])
        tensors.fillPattern(1)
        var options = smallOptions(workers: 2)
        options.arenaBytes = 0
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        try checkpointer.save(step: 1)
        checkpointer.mutate { tensors.fill(0) }
        try checkpointer.close()
        let copy = TestTensors(sizes: [50_000, 20_000])
        try openStore(memory, for: .reading).restore(.latest, into: copy)
        tensors.fillPattern(1)
        #expect(copy.bytes == tensors.bytes)
        #expect(checkpointer.stall.arenaHighWaterBytes == 4096)
    }

    @Test("saving while a permit is held is refused, and training goes on")
    func saveUnderPermit() throws {
        let tensors = TestTensors(sizes: [64])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        let permit = checkpointer.permit()
        let error = #expect(throws: CheckpointError.self) { try checkpointer.save(step: 1) }
        #expect(error?.code == .misuse)
        permit.end()
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
    }

    @Test("a failed save is told of by its ticket, the next ticket or close, and the next save starts clean")
    func failureIsSticky() throws {
        let isBroken = Box(false)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if isBroken.value, operation.verb == "sync" { throw FileSystemError("fsync(2)", operation.path, .ioError) }
        }
        let tensors = TestTensors(sizes: [20_000])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: smallOptions())
        try checkpointer.save(step: 1).wait()
        isBroken.value = true
        let failed = try checkpointer.save(step: 2)
        #expect(throws: CheckpointError.self) { try failed.wait() }
        isBroken.value = false
        checkpointer.mutate { tensors.fill(3) }
        let next = try checkpointer.save(step: 3)
        #expect(next.earlierFailure?.code == .io)
        try next.wait()
        #expect(try steps(of: checkpointer.store) == [3, 1])
        isBroken.value = true
        try checkpointer.save(step: 4)
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        #expect(try memory.list("/store/staging").isEmpty)
    }

    @Test("a step committed in this run is not overwritten")
    func sameStepTwice() throws {
        let tensors = TestTensors(sizes: [64])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        let first = try checkpointer.save(step: 1)
        try first.wait()
        let error = #expect(throws: CheckpointError.self) { try checkpointer.save(step: 1).wait() }
        #expect(error?.code == .exists)
        #expect(try checkpointer.store.newest(5).map { try $0.get().id } == [first.id])
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
    }

    @Test("a save can be cancelled; nothing of it stays, and a waiting fence opens")
    func cancel() throws {
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if operation.verb.hasPrefix("write") { sleepMilliseconds(5) }
        }
        let tensors = TestTensors(sizes: [400_000])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: smallOptions())
        let ticket = try checkpointer.save(step: 1)
        ticket.cancel()
        checkpointer.mutate { tensors.fill(1) }
        let error = #expect(throws: CheckpointError.self) { try ticket.wait() }
        #expect(error?.code == .cancelled)
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        #expect(try memory.list("/store/segments").isEmpty)
        #expect(try memory.list("/store/staging").isEmpty)
    }

    @Test("a busy pipeline skips the save if the policy says so")
    func skipPolicy() throws {
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if operation.verb.hasPrefix("write") { sleepMilliseconds(5) }
        }
        var options = smallOptions()
        options.backpressure = .skip
        let tensors = TestTensors(sizes: [100_000])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options)
        try checkpointer.save(step: 1)
        #expect(try checkpointer.save(step: 2).failure?.code == .skipped)
        try checkpointer.close()
    }

    @Test("a save that was waited for does not stand in the way of the next")
    func skipAfterWaiting() throws {
        var options = smallOptions()
        options.backpressure = .skip
        // The observers are slower than the trainer.
        options.onEvent = { if case .committed = $0 { sleepMilliseconds(20) } }
        let checkpointer = try Checkpointer(
            store: openStore(memory), state: TestTensors(sizes: [8000]), options: options)
        for step in 1...5 { try checkpointer.save(step: step).wait() }
        try checkpointer.close()
        #expect(try steps(of: checkpointer.store) == [5, 4, 3, 2, 1])
    }

    @Test("a ticket that is kept does not keep the arena")
    func keptTicket() throws {
        weak var pipeline: SavePipeline?
        let tickets: [SaveTicket]
        do {
            let checkpointer = try Checkpointer(
                store: openStore(memory), state: TestTensors(sizes: [8000]),
                options: smallOptions())
            pipeline = checkpointer.pipeline
            tickets = try [checkpointer.save(step: 1), checkpointer.save(step: 1)]
            #expect(throws: CheckpointError.self) { try checkpointer.close() }
        }
        #expect(pipeline == nil)
        #expect(tickets[0].report != nil && tickets[1].failure != nil)
        tickets[0].cancel()
    }

    @Test("metrics, step and objects are those of the moment of the call")
    func frozenAtCall() throws {
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if operation.verb.hasPrefix("write") { sleepMilliseconds(3) }
        }
        let tensors = TestTensors(sizes: [50_000])
        let value = Box(["epoch": 1])
        let state = CompositeState {
            tensors
            ObjectState("counter", get: { value.value }, set: { value.value = $0 })
        }
        let checkpointer = try Checkpointer(store: openStore(disk), state: state, options: smallOptions())
        try checkpointer.save(step: 1)
        value.value = ["epoch": 2]
        try checkpointer.close()
        value.value = [:]
        try openStore(memory, for: .reading).restore(.latest, into: state)
        #expect(value.value == ["epoch": 1])
    }

    @Test("a provider that throws fails the call, or the save if it throws while encoding")
    func throwingProvider() throws {
        struct Refusal: Error {}
        let failing = EncodedState("x", freeze: { { throw Refusal() } }, restore: { _ in })
        let checkpointer = try Checkpointer(store: openStore(memory), state: failing, options: smallOptions())
        let error = #expect(throws: CheckpointError.self) { try checkpointer.save(step: 1).wait() }
        #expect(error?.code == .provider)
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
    }

    @Test("an unchanged state is reported as such")
    func unchanged() throws {
        let reports = Box<[Bool]>([])
        var options = smallOptions()
        options.onEvent = { if case .committed(let report) = $0 { reports.value.append(report.isUnchanged) } }
        let tensors = TestTensors(sizes: [9_000])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        try checkpointer.save(step: 1).wait()
        try checkpointer.save(step: 2).wait()
        checkpointer.mutate { tensors.fill(1) }
        try checkpointer.save(step: 3).wait()
        try checkpointer.close()
        #expect(reports.value == [false, true, false])
    }

    @Test("a disk without room is refused before anything is captured")
    func preflight() throws {
        let small = InMemoryFileSystem(capacity: 60_000)
        let tensors = TestTensors(sizes: [100_000])
        let checkpointer = try Checkpointer(store: openStore(small), state: tensors, options: smallOptions())
        #expect(try checkpointer.save(step: 1).failure?.code == .noSpace)
        #expect(try small.list("/store/staging").isEmpty)
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
    }

    @Test(
        "a disk that becomes read-only fails its save, by that name; training goes on, and so do saves once it is writable",
        arguments: [Errno.readOnlyFileSystem, .permissionDenied, .notPermitted])
    func readOnly(errno: Errno) throws {
        let isReadOnly = Atomic(false)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if isReadOnly.load(ordering: .relaxed) { throw FileSystemError("pwrite(2)", operation.path, errno) }
        }
        let tensors = TestTensors(sizes: [10_000])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: smallOptions())
        try checkpointer.save(step: 1).wait()
        isReadOnly.store(true, ordering: .relaxed)
        checkpointer.mutate { tensors.fill(2) }
        let failed = try checkpointer.save(step: 2)
        #expect(throws: CheckpointError.self) { try failed.wait() }
        #expect(failed.failure?.code == .readOnly)
        isReadOnly.store(false, ordering: .relaxed)
        try checkpointer.save(step: 3).wait()
        try checkpointer.close()
    }

    @Test("a resumed run is a new one, with the checkpoint it resumed from as its parent")
    func lineage() throws {
        let tensors = TestTensors(sizes: [64])
        let first = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        #expect(try first.resume() == nil)
        try first.save(step: 1).wait()
        let parent = try first.save(step: 2)
        try first.close()
        let second = try Checkpointer(store: first.store, state: tensors, options: smallOptions())
        #expect(try second.resume()?.step == 2)
        try second.save(step: 2).wait()
        try second.close()
        let newest = try #require(try first.store.newest(1).first).get()
        #expect(newest.run == second.run)
        #expect(newest.run > first.run)
        #expect(newest.parent == parent.id)
    }
}

@Suite("What a manifest says of the moment", .timeLimit(.minutes(20)))
struct ManifestContentTests {
    private let memory = InMemoryFileSystem()

    private func newest(_ store: CheckpointStore) throws -> Manifest {
        try store.files.load(#require(try store.files.names().last)).manifest
    }

    @Test("each group's epoch counts the permits that covered it")
    func epochs() throws {
        let tensors = TestTensors(sizes: [64, 64], groups: ["a", "b"])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        checkpointer.mutate {}
        checkpointer.mutate("b") {}
        checkpointer.mutate("b") {}
        try checkpointer.save(step: 1).wait()
        let manifest = try newest(checkpointer.store)
        #expect(Dictionary(uniqueKeysWithValues: manifest.groups.map { ($0.name, $0.epoch) }) == ["a": 1, "b": 3])
        try checkpointer.close()
    }

    @Test("groups are captured in the order of the fences since the last save")
    func fenceOrder() throws {
        let tensors = TestTensors(sizes: [64, 64, 64], groups: ["a", "b", "c"])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        for group in ["c", "a", "b"] { checkpointer.mutate(group) {} }
        try checkpointer.save(step: 1).wait()
        #expect(try newest(checkpointer.store).groups.map(\.name) == ["c", "a", "b"])
        try checkpointer.save(step: 2).wait()
        #expect(try newest(checkpointer.store).groups.map(\.name) == ["c", "a", "b"])
        try checkpointer.close()
    }

    @Test("a state of objects alone is captured, saved and restored")
    func objectsOnly() throws {
        let value = Box(3)
        let state = ObjectState("n", get: { value.value }, set: { value.value = $0 })
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: smallOptions())
        let ticket = try checkpointer.save(step: 1)
        try ticket.wait(for: .captured, timeout: .seconds(20))
        try ticket.wait()
        value.value = 0
        try checkpointer.restore(.latest)
        #expect(value.value == 3)
        try checkpointer.close()
    }

    @Test("an empty state is a checkpoint too")
    func emptyState() throws {
        let checkpointer = try Checkpointer(store: openStore(memory), state: CompositeState {}, options: smallOptions())
        try checkpointer.save(step: 0).wait()
        #expect(try checkpointer.store.restore(.step(0), into: CompositeState {}).tensorCount == 0)
        try checkpointer.close()
    }

    @Test("large objects are cut into chunks, and come back")
    func largeObjects() throws {
        let texts = Box([String(repeating: "a", count: 5000), "", String(repeating: "é", count: 9000)])
        let state = CompositeState {
            for index in 0..<3 {
                ObjectState("text\(index)", get: { texts.value[index] }, set: { texts.value[index] = $0 })
            }
        }
        let original = texts.value
        var options = smallOptions()
        options.compression = .lz4
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: options)
        try checkpointer.save(step: 1).wait()
        texts.value = ["", "", ""]
        try checkpointer.restore(.latest)
        #expect(texts.value == original)
        try checkpointer.close()
    }
}

@Suite("States that cannot be saved", .timeLimit(.minutes(20)))
struct BadStateTests {
    @Test("two tensors or two objects of one name fail the save, also when the state changes later")
    func duplicateNames() throws {
        let memory = InMemoryFileSystem()
        let names = Box(["a", "b"])
        struct Named: StateProvider {
            let names: Box<[String]>
            func describe(to inventory: inout StateInventory) throws {
                for name in names.value {
                    ObjectState(name, get: { 1 }, set: { _ in }).describe(to: &inventory)
                    unsafe try inventory.add(
                        tensor: name, TensorView(LentMemory(start: nil, byteCount: 0), type: .f32, shape: [0]), role: .buffer)
                }
            }
        }
        let checkpointer = try Checkpointer(
            store: openStore(memory), state: Named(names: names), options: smallOptions())
        try checkpointer.save(step: 1).wait()
        names.value = ["a", "a"]
        #expect(try checkpointer.save(step: 2).failure?.code == .misuse)
        names.value = ["a", ""]
        #expect(try checkpointer.save(step: 3).failure?.code == .misuse)
        names.value = ["a", "b"]
        try checkpointer.save(step: 4).wait()
        #expect(try steps(of: checkpointer.store) == [4, 1])
        try checkpointer.close()
    }
}

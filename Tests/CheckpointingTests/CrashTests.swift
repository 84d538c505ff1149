import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
import CheckpointSegments
@testable import CheckpointStorage
import CheckpointTestSupport
import Synchronization
import SystemPackage
import Testing

/// The machine loses power at file system operation k, for every k.
@Suite("Crash at every operation", .timeLimit(.minutes(20)))
struct CrashTests {
    private static let sizes = [1_200 * 8, 8, 512]

    /// What the program was told before the crash.
    private struct Acknowledged {
        var committed: [Int] = []
        var keepLast: Int?

        /// Those that must still be there.
        var kept: ArraySlice<Int> { committed.suffix(keepLast ?? committed.count) }
    }

    private static func options(keepLast: Int?) -> CheckpointerOptions {
        var options = smallOptions()
        options.keepLast = keepLast
        return options
    }

    /// Creates a store and saves three steps. Failures end it, like a crash would.
    private func workload(_ fileSystem: any FileSystem, keepLast: Int?) -> Acknowledged {
        var acknowledged = Acknowledged(keepLast: keepLast)
        let tensors = TestTensors(sizes: Self.sizes, groups: ["a", "b"])
        let value = Box(0)
        do {
            let checkpointer = try Checkpointer(
                store: openStore(fileSystem), state: Self.state(tensors, value), options: Self.options(keepLast: keepLast))
            for step in 1...3 {
                checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
                value.value = step
                try checkpointer.save(step: step).wait()
                acknowledged.committed.append(step)
            }
            try checkpointer.close()
        } catch {}
        return acknowledged
    }

    private static func state(_ tensors: TestTensors, _ value: Box<Int>) -> CompositeState {
        CompositeState {
            tensors
            ObjectState("step", role: .optimizer, get: { value.value }, set: { value.value = $0 })
        }
    }

    /// Reopens what the crash left and checks every promise of Formats/durability.md.
    private func check(_ fileSystem: InMemoryFileSystem, _ acknowledged: Acknowledged, _ comment: Comment) throws {
        let warnings = Box<[String]>([])
        let store = try CheckpointStore(
            fileSystem: fileSystem, root: "/store", access: .writing, catalog: .nowhere,
            onWarning: { warnings.value.append($0) })
        #expect(warnings.value.isEmpty, comment)
        let found = try steps(of: store)
        #expect(Set(found).isSuperset(of: acknowledged.kept.map { $0 }), comment)
        for step in found {
            let tensors = TestTensors(sizes: Self.sizes, groups: ["a", "b"])
            let value = Box(0)
            let step = try #require(step, comment)
            try store.restore(.step(step), into: Self.state(tensors, value))
            let expected = TestTensors(sizes: Self.sizes)
            expected.fillPattern(UInt64(step))
            #expect(tensors.bytes == expected.bytes, comment)
            #expect(value.value == step, comment)
        }
        try checkNoRubbish(fileSystem, found.count, comment)
        try checkNextSave(store, found.compactMap { $0 }, comment)
    }

    private func checkNoRubbish(_ fileSystem: InMemoryFileSystem, _ checkpoints: Int, _ comment: Comment) throws {
        #expect(try fileSystem.list("/store/staging").isEmpty, comment)
        #expect(try fileSystem.list("/store/segments").count == checkpoints, comment)
    }

    private func checkNextSave(_ store: CheckpointStore, _ before: [Int], _ comment: Comment) throws {
        let tensors = TestTensors(sizes: Self.sizes)
        let value = Box(9)
        let checkpointer = try Checkpointer(store: store, state: Self.state(tensors, value), options: smallOptions())
        try checkpointer.save(step: 9).wait()
        try checkpointer.close()
        #expect(try steps(of: store) == [9] + before, comment)
    }

    @Test(
        "old or new, acknowledged is kept, rubbish is removed, the next save works", arguments: 0..<3 as Range<UInt64>,
        [nil, 1, 2] as [Int?])
    func everyOperation(seed: UInt64, keepLast: Int?) throws {
        var random = SeededGenerator(seed)
        var operations = 0
        for k in 0... {
            let memory = InMemoryFileSystem()
            let counter = FaultCounter()
            let dying = HookedFileSystem(memory, before: counter.hook(failAt: k, .ioError, forEver: true))
            let acknowledged = workload(dying, keepLast: keepLast)
            try check(memory.crashed(&random), acknowledged, "crash at operation \(k), seed \(seed)")
            if counter.operations <= k {
                #expect(acknowledged.committed == [1, 2, 3])
                operations = k
                break
            }
        }
        #expect(operations > 50)
    }

    @Test(
        "a process is killed at any operation, the next one saves, and then power fails",
        arguments: 0..<4 as Range<UInt64>)
    func killedBefore(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        for k in 0... {
            let memory = InMemoryFileSystem()
            let counter = FaultCounter()
            let dying = HookedFileSystem(memory, before: counter.hook(failAt: k, .ioError, forEver: true))
            var acknowledged = workload(dying, keepLast: nil)
            let next = memory.killed()
            let (tensors, value) = (TestTensors(sizes: Self.sizes, groups: ["a", "b"]), Box(4))
            let checkpointer = try Checkpointer(
                store: openStore(next), state: Self.state(tensors, value), options: Self.options(keepLast: nil))
            checkpointer.mutate { tensors.fillPattern(4) }
            try checkpointer.save(step: 4).wait()
            acknowledged.committed.append(4)
            let crashed = next.crashed(&random)
            try checkpointer.close()
            try check(crashed, acknowledged, "killed at operation \(k), seed \(seed)")
            if counter.operations <= k { break }
        }
    }

    @Test("a process is killed while another one maintains the store, the next one opens it, and then power fails")
    func killedBesideMaintenance() throws {
        var random = SeededGenerator(5)
        for k in 0... {
            let memory = InMemoryFileSystem()
            let counter = FaultCounter()
            let dying = HookedFileSystem(memory, before: counter.hook(failAt: k, .ioError, forEver: true))
            _ = workload(dying, keepLast: nil)
            let next = memory.killed()
            // Recovery leaves everything to the one that has this lock.
            let maintainer = try? MaintenanceLock(next, StoreDirectories(root: "/store"))
            let seen = try steps(of: openStore(next))
            for _ in 0..<4 {
                let store = try openStore(next.crashed(&random), for: .reading)
                #expect(try steps(of: store) == seen, "killed at operation \(k)")
            }
            withExtendedLifetime(maintainer) {}
            if counter.operations <= k { break }
        }
    }

    @Test("directories above the store that a script has made are durable with the first checkpoint")
    func parents() throws {
        let memory = InMemoryFileSystem()
        for path in ["/a", "/a/b"] as [FilePath] { try memory.makeDirectory(path) }
        func open(_ files: InMemoryFileSystem, _ access: CheckpointStore.Access) throws -> CheckpointStore {
            try CheckpointStore(fileSystem: files, root: "/a/b/store", access: access, catalog: .nowhere)
        }
        let (tensors, value) = (TestTensors(sizes: Self.sizes, groups: ["a", "b"]), Box(4))
        let checkpointer = try Checkpointer(
            store: open(memory, .writing), state: Self.state(tensors, value), options: Self.options(keepLast: nil))
        try checkpointer.save(step: 1).wait()
        for seed in 0..<16 as Range<UInt64> {
            var random = SeededGenerator(seed)
            #expect(try steps(of: open(memory.crashed(&random), .reading)) == [1], "seed \(seed)")
        }
        try checkpointer.close()
    }

    @Test(
        "one operation fails once: that save fails or not, nothing else does", arguments: [Errno.ioError, .noSpace],
        [nil, 1] as [Int?])
    func everyOperationFailsOnce(errno: Errno, keepLast: Int?) throws {
        for k in 0... {
            let memory = InMemoryFileSystem()
            let counter = FaultCounter()
            let faulty = HookedFileSystem(memory, before: counter.hook(failAt: k, errno, forEver: false))
            let committed = survivingWorkload(faulty, keepLast: keepLast)
            if counter.operations <= k {
                #expect(committed == [1, 2, 3])
                return
            }
            guard let committed else { continue }
            #expect(committed.count >= 2, "operation \(k)")
            var random = SeededGenerator(UInt64(k))
            let acknowledged = Acknowledged(committed: committed, keepLast: keepLast)
            try check(memory.crashed(&random), acknowledged, "operation \(k) failed once")
        }
    }

    /// As `workload`, but training goes on after a failed save. Nil if the store could not even be opened.
    private func survivingWorkload(_ fileSystem: any FileSystem, keepLast: Int?) -> [Int]? {
        let tensors = TestTensors(sizes: Self.sizes, groups: ["a", "b"])
        let value = Box(0)
        guard let store = try? openStore(fileSystem),
            let checkpointer = try? Checkpointer(
                store: store, state: Self.state(tensors, value), options: Self.options(keepLast: keepLast))
        else { return nil }
        var committed: [Int] = []
        for step in 1...3 {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            value.value = step
            if let ticket = try? checkpointer.save(step: step), (try? ticket.wait()) != nil { committed.append(step) }
        }
        try? checkpointer.close()
        return committed
    }

    @Test("a publication that cannot be made durable fails the save, and never leaves a manifest without its segments",
        arguments: ["syncdir /store/manifests", "link /store/manifests", "sync /store/staging"])
    func unsettledPublication(failing: String) throws {
        let memory = InMemoryFileSystem()
        let isBroken = Box(false)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if isBroken.value, operation.description.hasPrefix(failing) {
                throw FileSystemError("injected", operation.path, .ioError)
            }
        }
        let tensors = TestTensors(sizes: Self.sizes)
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: smallOptions())
        try checkpointer.save(step: 1).wait()
        isBroken.value = true
        checkpointer.mutate { tensors.fill(2) }
        #expect(throws: CheckpointError.self) { try checkpointer.save(step: 2).wait() }
        isBroken.value = false
        #expect(try openStore(memory, for: .reading).verify().isWhole)
        checkpointer.mutate { tensors.fill(3) }
        try checkpointer.save(step: 3).wait()
        try checkpointer.close()
        #expect(try openStore(memory, for: .reading).verify().isWhole)
        #expect(try steps(of: openStore(memory, for: .reading)).contains(3))
    }

    /// What `save` of a state of three blocks does to the disk, with names of the attempt and the manifest replaced.
    private func trace(_ log: OperationLog, _ attempt: CheckpointID, _ manifest: ManifestName) -> [String] {
        log.all.map { operation in
            operation.description.replacing(attempt.description, with: "ATTEMPT").replacing(manifest.description, with: "NAME")
        }
    }

    /// The operations between the first write and the end of a save.
    private func common(manifestBytes: Int) -> [String] {
        [
            "write 0+4096 /store/staging/ATTEMPT-00000-00000.segment",
            "write 4096+4096 /store/staging/ATTEMPT-00000-00000.segment",
            "write 8192+4096 /store/staging/ATTEMPT-00000-00000.segment",
            "write 12288+4096 /store/staging/ATTEMPT-00000-00000.segment",
            "write 16384+4096 /store/staging/ATTEMPT-00000-00000.segment",
            "sync /store/staging/ATTEMPT-00000-00000.segment",
            "link /store/segments/ATTEMPT-00000-00000.segment",
            "remove /store/staging/ATTEMPT-00000-00000.segment",
            "syncdir /store/segments",
            "create /store/staging/ATTEMPT.manifest",
            "write 0+\(manifestBytes) /store/staging/ATTEMPT.manifest",
            "sync /store/staging/ATTEMPT.manifest",
            "link /store/manifests/NAME",
            "syncdir /store/manifests",
            "remove /store/staging/ATTEMPT.manifest",
        ]
    }

    @Test("the operations of one save, in order")
    func operationTrace() throws {
        let log = OperationLog()
        let memory = InMemoryFileSystem()
        let tensors = TestTensors(sizes: [4096 * 2, 16])
        let checkpointer = try Checkpointer(
            store: openStore(HookedFileSystem(memory, before: log.hook)), state: tensors, options: smallOptions())
        let before = log.all.count
        let ticket = try checkpointer.save(step: 7)
        try checkpointer.close()
        let name = ManifestName(run: checkpointer.run, step: 7)
        let manifestBytes = try #require(memory.files[FilePath("/store/manifests/\(name)")]).count
        #expect(
            Array(trace(log, ticket.id, name).dropFirst(before))
                == ["create /store/staging/ATTEMPT-00000-00000.segment"] + common(manifestBytes: manifestBytes))
    }

    @Test("the operations of a save that writes over an expired segment, in order")
    func recyclingTrace() throws {
        let log = OperationLog()
        let memory = InMemoryFileSystem()
        let tensors = TestTensors(sizes: [4096 * 2, 16])
        let checkpointer = try Checkpointer(
            store: openStore(HookedFileSystem(memory, before: log.hook)), state: tensors, options: Self.options(keepLast: 1))
        let first = try checkpointer.save(step: 1)
        try first.wait()
        try checkpointer.save(step: 2).wait()
        // Removing the first checkpoint ends in this operation, some time after the second is committed.
        try #require(eventually {
            guard let last = log.all.last else { return false }
            return last.verb == "remove" && last.path.string.hasPrefix("/store/segments/")
        })
        let before = log.all.count
        let ticket = try checkpointer.save(step: 3)
        try ticket.wait()
        let name = ManifestName(run: checkpointer.run, step: 3)
        let manifestBytes = try #require(memory.files[FilePath("/store/manifests/\(name)")]).count
        let spare = "/store/staging/\(first.id)-00000-00000.segment.spare"
        var expected = common(manifestBytes: manifestBytes)
        expected.insert("truncate /store/staging/ATTEMPT-00000-00000.segment", at: 5)
        expected = ["reopen \(spare)", "link /store/staging/ATTEMPT-00000-00000.segment", "remove \(spare)"] + expected
        #expect(Array(trace(log, ticket.id, name).dropFirst(before).prefix(expected.count)) == expected.map {
            // The file goes by the name under which it was opened.
            $0.hasPrefix("write") || $0.hasPrefix("truncate") || $0.hasPrefix("sync /store/staging/ATTEMPT-")
                ? $0.replacing("/store/staging/ATTEMPT-00000-00000.segment", with: spare) : $0
        })
        try checkpointer.close()
        #expect(try memory.list("/store/staging").isEmpty)
    }
}

import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
@testable import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

/// `store.json` is one small file on which everything depends, and the checkpoints know what belongs there.
@Suite("Repairing store.json", .timeLimit(.minutes(20)))
struct IdentityRepairTests {
    private static let path = FilePath("/store/store.json")

    /// Two checkpoints, on a disk that has just been switched on.
    private func store() throws -> (memory: InMemoryFileSystem, id: StoreID, contents: [UInt8]) {
        let memory = InMemoryFileSystem()
        let tensors = TestTensors(sizes: [40_000, 64])
        tensors.fillPattern(7)
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        for step in 1...2 { try checkpointer.save(step: step).wait() }
        try checkpointer.close()
        var random = SeededGenerator(1)
        return (memory.crashed(&random), checkpointer.store.id, tensors.bytes)
    }

    private func repair(_ fileSystem: any FileSystem, isDryRun: Bool = false) throws -> RebuiltIdentity? {
        try CheckpointStore.repairIdentity(fileSystem, root: "/store", isDryRun: isDryRun)
    }

    private func expectWhole(_ memory: InMemoryFileSystem, _ id: StoreID, _ contents: [UInt8], _ comment: Comment? = nil) throws {
        let store = try openStore(memory)
        #expect(store.id == id, comment)
        for step in 1...2 {
            let copy = TestTensors(sizes: [40_000, 64])
            try store.restore(.step(step), into: copy)
            #expect(copy.bytes == contents, comment)
        }
        #expect(try store.verify().isWhole, comment)
    }

    @Test("missing, cut, flipped: it is made anew, and what was there is kept", arguments: 0...3)
    func madeAnew(fault: Int) throws {
        let (memory, id, contents) = try store()
        let original = try #require(memory.files[Self.path])
        #expect(try repair(memory) == nil && memory.files[Self.path] == original)
        switch fault {
        case 0: try memory.remove(Self.path)
        case 1: memory.overwrite(Self.path, with: [])
        case 2: memory.overwrite(Self.path, with: original.map { $0 == UInt8(ascii: "a") ? UInt8(ascii: "b") : $0 } + [0])
        default: memory.overwrite(Self.path, with: [UInt8](repeating: 0x20, count: 100_000))
        }
        let damaged = memory.files
        for access in [CheckpointStore.Access.reading, .writing, .maintaining] {
            let error = #expect(throws: CheckpointError.self) { _ = try openStore(memory, for: access) }
            #expect(error?.code == .damaged && error?.description.contains("Run ckpt repair: it rebuilds store.json") == true)
        }
        #expect(memory.files == damaged || fault == 0)
        let dry = try #require(try repair(memory, isDryRun: true))
        #expect(memory.files[Self.path] == damaged[Self.path])
        let done = try #require(try repair(memory))
        #expect(dry.id == id && done.id == id && done.checkpointCount == 2 && done.fault.code == .damaged)
        #expect(memory.files["/store/quarantine/store.json"] == damaged[Self.path])
        try expectWhole(memory, id, contents)
        #expect(try repair(memory) == nil)
    }

    @Test("a directory that holds checkpoints is never founded anew")
    func neverFoundedAnew() throws {
        let (memory, _, _) = try store()
        // All that a store of which nothing else was copied has.
        for file in memory.files.keys where !file.string.hasPrefix("/store/manifests/") && !file.string.hasPrefix("/store/segments/") {
            try memory.remove(file)
        }
        let error = #expect(throws: CheckpointError.self) { _ = try openStore(memory, for: .writing) }
        #expect(error?.code == .damaged && memory.files[Self.path] == nil)
    }

    @Test("without a checkpoint that can be read nothing is made up")
    func nothingToGoBy() throws {
        let (memory, _, _) = try store()
        for file in memory.files.keys where file.string.hasPrefix("/store/manifests/") { memory.overwrite(file, with: [1]) }
        memory.overwrite(Self.path, with: [1])
        let error = #expect(throws: CheckpointError.self) { _ = try repair(memory) }
        #expect(error?.code == .damaged && error?.remedy?.contains("from a backup") == true)
        #expect(memory.files[Self.path] == [1])
    }

    @Test("a crash at every operation leaves the damaged file or the new one, and another repair finishes")
    func everyOperation() throws {
        let (memory, id, contents) = try store()
        memory.overwrite(Self.path, with: [1, 2, 3])
        var random = SeededGenerator(2)
        for k in 0... {
            let disk = memory.crashed(&random)
            let counter = FaultCounter()
            // The failure is the crash.
            _ = try? repair(HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true)))
            let left = disk.crashed(&random)
            let comment: Comment = "crash at operation \(k)"
            let file = left.files[Self.path]
            #expect(file == [1, 2, 3] || left.files["/store/quarantine/store.json"] == [1, 2, 3], comment)
            _ = try repair(left)
            try expectWhole(left, id, contents, comment)
            if counter.operations <= k {
                #expect(k > 8)
                break
            }
        }
    }
}

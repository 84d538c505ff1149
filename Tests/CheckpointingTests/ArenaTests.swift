import CheckpointIO
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

@Suite("Size of the arena", .timeLimit(.minutes(20)))
struct ArenaTests {
    private func budget(
        _ bytes: Int?, chunk: Int = 4 << 20, ranks: Int = 1, free: Int?, limit: Int? = nil
    ) throws(CheckpointError) -> ArenaBudget {
        var options = CheckpointerOptions()
        (options.arenaBytes, options.chunkBytes) = (bytes, chunk)
        return try ArenaBudget(options, worldSize: ranks, .init(available: free, addressSpace: limit))
    }

    @Test("a size that the trainer names is taken, and is in memory from the start")
    func named() throws {
        let budget = try budget(64 << 20, free: 64 << 30)
        #expect(budget.slotCount == 16 && budget.touchedCount == 16)
        let one = try self.budget(0, free: 64 << 30)
        #expect(one.slotCount == 1 && one.touchedCount == 1)
    }

    @Test("without one, an eighth of the free memory may be used, and 128 MiB are in memory", arguments: [1, 2, 8, 1000])
    func chosen(ranks: Int) throws {
        let budget = try budget(nil, ranks: ranks, free: 16 << 30)
        #expect(budget.touchedCount == 32)
        #expect(budget.slotCount == max(512 / ranks, 32))
    }

    @Test("a limit of the address space counts; unknown memory, and many small chunks, mean less")
    func bounded() throws {
        #expect(try budget(nil, free: 16 << 30, limit: 4 << 30).slotCount == 128)
        #expect(try budget(nil, free: nil).slotCount == 32)
        #expect(try budget(nil, free: 1 << 62).slotCount == 4096)
        #expect(try budget(nil, chunk: 4096, free: 1 << 62).slotCount == 32768)
        #expect(try budget(nil, free: 200 << 20).slotCount == 32)
    }

    @Test("less free memory than is taken at the start is an error that says what to do")
    func refused() throws {
        let error = #expect(throws: CheckpointError.self) { try budget(nil, free: 100 << 20) }
        #expect(error?.code == .outOfMemory && error?.remedy?.contains("arenaBytes") == true)
    }

    @Test("if the system allows no more, the slots that are in memory from the start have to do")
    func fallback() throws {
        var configuration = SavePipeline.Configuration(
            CheckpointerOptions(), try budget(8 << 20, free: 64 << 30), encodes: true)
        configuration.slotCount = 1 << 28
        let arena = try SavePipeline.arena(&configuration)
        #expect(configuration.slotCount == 2)
        #expect(arena.slotCount == 2 + configuration.spareCount)
        configuration.slotCount = 1 << 28
        configuration.touchedCount = 1 << 28
        #expect(throws: (any Error).self) { try SavePipeline.arena(&configuration) }
    }

    @Test("a fence waits for no disk as long as there is memory, however large the state is")
    func fenceNeedsNoDisk() throws {
        let gate = Gate(isOpen: true)
        let disk = HookedFileSystem(InMemoryFileSystem()) { operation throws(FileSystemError) in try gate.holdWrite(operation) }
        // Larger than what is in memory from the start.
        let size = ArenaBudget.defaultBytes + (8 << 20)
        let tensor = try OwnedTensor<Float>(repeating: 1, shape: [size / 4])
        let state = TensorState("w", tensor.view)
        var options = smallOptions()
        options.deduplicates = false
        (options.chunkBytes, options.arenaBytes, options.compression) = (1 << 20, nil, .none)
        let checkpointer = try Checkpointer(store: openStore(disk), state: state, options: options)
        gate.isOpen = false
        let ticket = try checkpointer.save(step: 1)
        checkpointer.mutate { tensor[size / 4 - 1] = 2 }
        try ticket.wait(for: .captured, timeout: .seconds(60))
        gate.isOpen = true
        try checkpointer.close()
        #expect(checkpointer.stall.arenaHighWaterBytes > ArenaBudget.defaultBytes)
        try checkpointer.store.restore(.step(1), into: state)
        #expect(tensor[size / 4 - 1] == 1)
    }

    @Test("memory that a control group leaves, of both versions of Linux's interface")
    func controlGroups() {
        let groups = Array("9:name=systemd:/\n4:cpu,memory:/a/b:c\n0::/d\n".utf8)
        #expect(ControlGroupVersion.one.path(in: groups) == "/a/b:c")
        #expect(ControlGroupVersion.two.path(in: groups) == "/d")
        #expect(ControlGroupVersion.one.path(in: Array("4:cpu:/a\n0::/d\nmemory\n".utf8)) == nil)
        #expect(ControlGroupVersion.two.path(in: Array("4:memory:/a\n0::relative\n".utf8)) == nil)

        func left(_ version: ControlGroupVersion, _ limit: String, _ used: String, _ statistics: String) -> Int? {
            version.availableBytes(limit: Array(limit.utf8), used: Array(used.utf8), statistics: Array(statistics.utf8))
        }
        let statistics = "anon 5\ninactive_file 30\ntotal_inactive_file 40\n"
        #expect(left(.two, "100\n", "90\n", statistics) == 40)
        #expect(left(.one, "100\n", "90\n", statistics) == 50)
        #expect(left(.two, "100\n", "20\n", statistics) == 100)
        #expect(left(.two, "100\n", "190\n", "") == 0)
        #expect(left(.two, "max\n", "90\n", statistics) == nil)
        #expect(left(.two, "99999999999999999999\n", "90\n", statistics) == nil)
    }
}

import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

@Suite("Saves faster than the disk", .timeLimit(.minutes(20)))
struct BackpressureTests {
    private let memory = InMemoryFileSystem()

    /// A disk that does not write blocks while the gate is shut.
    private func gatedDisk(_ gate: Gate) -> HookedFileSystem<InMemoryFileSystem> {
        HookedFileSystem(memory) { operation throws(FileSystemError) in try gate.holdWrite(operation) }
    }

    private func values(_ store: CheckpointStore, _ step: Int, sizes: [Int]) throws -> Set<UInt64> {
        let copy = TestTensors(sizes: sizes)
        try store.restore(.step(step), into: copy)
        return copy.distinctValues
    }

    @Test("block: the next save is captured while the disk is busy with the one before, and nothing is lost")
    func savesQueue() throws {
        let gate = Gate(isOpen: true)
        let tensors = TestTensors(sizes: [8_192])
        let checkpointer = try Checkpointer(store: openStore(gatedDisk(gate)), state: tensors, options: smallOptions())
        gate.isOpen = false
        let first = try checkpointer.save(step: 1)
        checkpointer.mutate { tensors.fill(2) }
        let second = try checkpointer.save(step: 2)
        checkpointer.mutate { tensors.fill(3) }
        try second.wait(for: .captured, timeout: .seconds(20))
        #expect(first.progress == .captured)
        gate.isOpen = true
        try checkpointer.close()
        #expect(try values(checkpointer.store, 1, sizes: [8_192]) == [0])
        #expect(try values(checkpointer.store, 2, sizes: [8_192]) == [2])
    }

    @Test("block: a save for which there is no room beside the one in flight waits for that one")
    func savesInFlightNeedRoom() throws {
        let gate = Gate(isOpen: true)
        let small = InMemoryFileSystem(capacity: 280_000)
        let disk = HookedFileSystem(small) { operation throws(FileSystemError) in try gate.holdWrite(operation) }
        var options = smallOptions()
        (options.keepLast, options.arenaBytes) = (1, 1 << 20)
        let tensors = TestTensors(sizes: [100_000])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options)
        checkpointer.mutate { tensors.fillPattern(1) }
        try checkpointer.save(step: 1).wait(timeout: .seconds(60))
        // The worker is not held at its last writes for this save.
        checkpointer.pipeline.waitUntilIdle()
        gate.isOpen = false
        checkpointer.mutate { tensors.fillPattern(2) }
        try checkpointer.save(step: 2)
        let opener = Thread { sleepMilliseconds(300); gate.isOpen = true }
        opener.start()
        let isOpen = { gate.isOpen }
        checkpointer.mutate { tensors.fillPattern(3) }
        try checkpointer.save(step: 3)
        #expect(isOpen(), "it did not wait, although there was no room")
        try checkpointer.close()
        #expect(try steps(of: checkpointer.store) == [3])
    }

    @Test("replacePending: what could not start gives way to the next save and to training, what has started is kept")
    func replacePending() throws {
        let gate = Gate(isOpen: true)
        var options = smallOptions()
        options.backpressure = .replacePending
        options.arenaBytes = 2 * 4096
        let tensors = TestTensors(sizes: [8_192])
        let checkpointer = try Checkpointer(store: openStore(gatedDisk(gate)), state: tensors, options: options)
        gate.isOpen = false
        // The whole arena is the first save's.
        let first = try checkpointer.save(step: 1)
        checkpointer.mutate { tensors.fill(2) }
        let second = try checkpointer.save(step: 2)
        let third = try checkpointer.save(step: 3)
        #expect(second.failure?.code == .skipped || (try? second.wait(timeout: .seconds(20))) == nil)
        // Would wait for the disk for ever.
        checkpointer.mutate { tensors.fill(4) }
        gate.isOpen = true
        #expect(throws: CheckpointError.self) { try third.wait(timeout: .seconds(20)) }
        try first.wait(timeout: .seconds(20))
        try checkpointer.save(step: 4).wait()
        try checkpointer.close()
        #expect(second.failure?.code == .skipped && third.failure?.code == .skipped)
        #expect(try steps(of: checkpointer.store) == [4, 1])
        #expect(try values(checkpointer.store, 1, sizes: [8_192]) == [0])
        #expect(try values(checkpointer.store, 4, sizes: [8_192]) == [4])
    }

    /// How long the pauses are is tested in `RateLimiterTests`, with instants that the test makes.
    @Test("a rate limit holds back all blocks but the first; a save that is cancelled does not wait")
    func rateLimit() throws {
        let written = Box(0)
        var options = smallOptions()
        options.onEvent = { if case .progress(_, let bytes, _) = $0 { written.value = bytes } }
        // More than an hour for each block.
        options.bytesPerSecond = 1
        let tensors = TestTensors(sizes: [81_920])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        let ticket = try checkpointer.save(step: 1)
        #expect(eventually { written.value > 0 })
        // The arena has 4 slots: of 20 blocks no more than 5 can be captured.
        #expect(throws: CheckpointError.self) {
            try ticket.wait(for: .captured, timeout: .milliseconds(50))
        }
        #expect(written.value == 4096)
        // A store has one checkpointer at a time.
        let error = #expect(throws: CheckpointError.self) {
            _ = try Checkpointer(store: checkpointer.store, state: tensors, options: options)
        }
        #expect(error?.code == .busy)
        ticket.cancel()
        #expect(throws: CheckpointError.self) { try ticket.wait(timeout: .seconds(60)) }
        #expect(ticket.failure?.code == .cancelled)
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        // A rate that is never reached holds nothing back.
        options.bytesPerSecond = 1 << 50
        let quick = try Checkpointer(store: checkpointer.store, state: tensors, options: options)
        try quick.save(step: 2).wait(timeout: .seconds(60))
        try quick.close()
    }

    @Test("an arena larger than the machine's memory is refused, with what to do")
    func memoryPreflight() throws {
        var options = smallOptions()
        options.arenaBytes = 1 << 50
        let error = #expect(throws: CheckpointError.self) {
            _ = try Checkpointer(store: openStore(memory), state: TestTensors(sizes: [8]), options: options)
        }
        #expect(error?.code == .outOfMemory && error?.remedy?.contains("arenaBytes") == true)
    }

    @Test("what the machine says of its memory is read, or not believed")
    func meminfo() {
        let text = Array("MemTotal:   24 kB\nMemAvailable:   12345 kB\nSwap: 1 kB\n".utf8)
        #expect(SystemMemory.availableBytes(inMeminfo: text) == 12_345 << 10)
        #expect(SystemMemory.availableBytes(inMeminfo: Array("MemFree: 1 kB".utf8)) == nil)
        #expect(SystemMemory.availableBytes(inMeminfo: Array("MemAvailable: 99999999999999999999 kB".utf8)) == nil)
        #expect(SystemMemory.availableBytes ?? 0 > 1 << 20)
    }

    @Test("many small tensors cost few writes, whatever their groups", arguments: [1, 10, 2_000])
    func smallTensors(groups: Int) throws {
        var random = SeededGenerator(UInt64(groups))
        let sizes = (0..<2_000).map { _ in (125 + random.below(7_875)) * 8 }
        let log = OperationLog()
        let directory = try TemporaryDirectory()
        let disk = HookedFileSystem(POSIXFileSystem(), before: log.hook)
        let store = try CheckpointStore(fileSystem: disk, root: FilePath(directory.path), access: .writing, catalog: .nowhere)
        var options = smallOptions(workers: 2)
        options.chunkBytes = Limits.chunkBytesDefault
        options.arenaBytes = 8 * options.chunkBytes
        let tensors = TestTensors(sizes: sizes, groups: (0..<groups).map { "g\($0)" })
        let checkpointer = try Checkpointer(store: store, state: tensors, options: options)
        let before = log.all.count
        try checkpointer.save(step: 1).wait()
        let writes = log.all.dropFirst(before).filter { $0.verb.hasPrefix("write") }.count
        let bytes = sizes.reduce(0, +)
        // Header, index and manifest come on top.
        #expect(writes <= 2 * (bytes / options.chunkBytes) + 3, "\(writes) writes of \(bytes) bytes")
        try checkpointer.close()
    }
}

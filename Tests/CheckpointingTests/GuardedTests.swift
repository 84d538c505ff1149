import CheckpointGuard
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
import CheckpointState
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

/// What capture needs that watches writes to memory.
enum GuardSupport {
    static let holding = requirement { _ = try WriteGuard { _ in } }
    static let finding = requirement { _ = try WriteTracker() }

    private static func requirement(_ attempt: () throws -> Void) -> Requirement {
        do {
            try attempt()
            return Requirement(.guard, refusal: nil)
        } catch { return Requirement(.guard, refusal: "\(error)") }
    }
}

/// A state changed by a program that knows nothing of checkpoints.
@Suite(
    "Guarded capture", .timeLimit(.minutes(20)),
    .enabled(if: GuardSupport.holding.isTested, "\(GuardSupport.holding.reason)"))
struct GuardedTests {
    private let memory = InMemoryFileSystem()

    init() throws { try GuardSupport.holding.check() }

    private func slowDisk(_ milliseconds: Double) -> HookedFileSystem<InMemoryFileSystem> {
        HookedFileSystem(memory) { operation throws(FileSystemError) in
            if operation.verb.hasPrefix("write") { sleepMilliseconds(milliseconds) }
        }
    }

    private func options(workers: Int = 2) -> CheckpointerOptions {
        var options = smallOptions(workers: workers)
        options.capture = .guarded
        return options
    }

    @Test("an arena of one chunk is enough: writers wait for the disk", arguments: [1, 2])
    func smallestArena(workers: Int) throws {
        var options = options(workers: workers)
        options.arenaBytes = 0
        let tensors = TestTensors(sizes: [120_000, 40_000])
        let checkpointer = try Checkpointer(store: openStore(slowDisk(0.2)), state: tensors, options: options)
        for step in 1...3 {
            tensors.fill(UInt64(step))
            try checkpointer.save(step: step)
        }
        tensors.fill(9)
        #expect(checkpointer.stall.backpressure > .zero)
        try checkpointer.close()
        for step in 1...3 {
            let copy = TestTensors(sizes: [120_000, 40_000])
            try checkpointer.store.restore(.step(step), into: copy)
            #expect(copy.distinctValues == [UInt64(step)])
        }
    }

    @Test("a save that captures what an earlier one still protects charges the wait to that one, as a fence")
    func waitForProtectedPages() throws {
        var options = options()
        options.arenaBytes = 0
        options.deduplicates = false
        let tensors = TestTensors(sizes: [120_000, 40_000])
        let checkpointer = try Checkpointer(
            store: openStore(slowDisk(1)), state: tensors, options: options)
        let first = try checkpointer.save(step: 1)
        let second = try checkpointer.save(step: 2)
        let stall = checkpointer.stall
        try second.wait()
        let (earlier, later) = (try #require(first.report), try #require(second.report))
        let waited = earlier.stallFence + earlier.stallBackpressure
        #expect(stall.fence > .zero && earlier.stallFence > .zero && waited > .milliseconds(1))
        #expect(later.stallBackpressure < waited)
        try checkpointer.close()
    }

    @Test("a checkpointer that looks for chunks to reuse ends once, when it is closed and then dropped")
    func endsOnce() throws {
        var options = options()
        options.deduplicates = true
        do {
            let tensors = TestTensors(sizes: [40_000])
            let checkpointer = try Checkpointer(store: openStore(slowDisk(0)), state: tensors, options: options)
            try checkpointer.save(step: 1)
            try checkpointer.close()
        }
    }

    @Test("many threads write at once, in any order", arguments: Seeds.first(3))
    func manyWriters(seed: UInt64) throws {
        let tensors = TestTensors(sizes: [400_000, 8, 65_536, 16])
        let checkpointer = try Checkpointer(store: openStore(slowDisk(0.1)), state: tensors, options: options())
        for step in 1...5 {
            tensors.fill(UInt64(step))
            try checkpointer.save(step: step)
            let writers = try (0..<4).map { writer in
                try WorkerThread(name: "writer") {
                    var random = SeededGenerator(seed &* 31 &+ UInt64(step * 4 + writer))
                    for _ in 0..<200 { tensors.write(99, atWord: random.below(tensors.wordCount)) }
                }
            }
            for writer in writers { writer.join() }
        }
        try checkpointer.close()
        for step in 1...5 {
            let copy = TestTensors(sizes: [400_000, 8, 65_536, 16])
            try checkpointer.store.restore(.step(step), into: copy)
            #expect(copy.distinctValues == [UInt64(step)], "seed \(seed)")
        }
    }

    @Test("tied weights, and tensors that lie in many pieces")
    func overlappingAndStrided() throws {
        let rows = 300, columns = 200
        let matrix = try OwnedBytes(zeros: rows * columns * 8)
        let state = CompositeState {
            TensorState("weights", try! TensorView(matrix.lent, type: .u64, shape: [rows, columns]))
            TensorState("tied", try! TensorView(matrix.lent, type: .u64, shape: [rows * columns / 2]))
            TensorState("columns", try! TensorView(matrix.lent, type: .u64, shape: [columns, rows], strides: [1, columns], byteOffset: 0))
        }
        let checkpointer = try Checkpointer(store: openStore(slowDisk(0.1)), state: state, options: options())
        for step in 1...4 {
            matrix.region.store([UInt8](repeating: UInt8(step), count: matrix.count)[...])
            try checkpointer.save(step: step)
        }
        matrix.region.fillWithZeros()
        try checkpointer.close()
        for step in 1...4 {
            try checkpointer.store.restore(.step(step), into: state)
            #expect(matrix.bytes.allSatisfy { $0 == UInt8(step) })
        }
    }

    @Test("a save that fails lets every write through", arguments: ["write", "sync", "create"])
    func failure(failing: String) throws {
        let isBroken = Box(false)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if isBroken.value, operation.verb.hasPrefix(failing) { throw FileSystemError("injected", operation.path, .ioError) }
        }
        let tensors = TestTensors(sizes: [200_000])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options())
        isBroken.value = true
        let ticket = try checkpointer.save(step: 1)
        tensors.fill(2)
        #expect(throws: CheckpointError.self) { try ticket.wait() }
        isBroken.value = false
        try checkpointer.save(step: 2).wait()
        tensors.fill(3)
        #expect(try steps(of: checkpointer.store) == [2])
        try checkpointer.close()
    }

    @Test("a save that is cancelled while the next is being captured lets go of its own pages only", arguments: 1...3)
    func earlierFailure(round: Int) throws {
        let gate = Gate(isOpen: true)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            try gate.holdWrite(operation)
            if operation.verb.hasPrefix("write") { sleepMilliseconds(0.2) }
        }
        let tensors = TestTensors(sizes: [400_000])
        var options = options()
        options.arenaBytes = 110 * 4096
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options)
        tensors.fill(1)
        gate.isOpen = false
        let first = try checkpointer.save(step: 1)
        tensors.fill(2)
        // The arena is full of the first save: of the second hardly anything can be captured yet.
        let second = try checkpointer.save(step: 2)
        let writer = try WorkerThread(name: "writer") { tensors.fill(3) }
        sleepMilliseconds(20)
        first.cancel()
        gate.isOpen = true
        #expect(throws: CheckpointError.self) { try first.wait(timeout: .seconds(20)) }
        writer.join()
        try second.wait(timeout: .seconds(20))
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        let copy = TestTensors(sizes: [400_000])
        try checkpointer.store.restore(.step(2), into: copy)
        #expect(copy.distinctValues == [2])
    }

    @Test("a checkpointer dropped without close lets every write through")
    func dropped() throws {
        let tensors = TestTensors(sizes: [400_000])
        do {
            let checkpointer = try Checkpointer(store: openStore(slowDisk(0.1)), state: tensors, options: options())
            try checkpointer.save(step: 1)
        }
        tensors.fill(1)
        let copy = TestTensors(sizes: [400_000])
        try openStore(memory, for: .reading).restore(.step(1), into: copy)
        #expect(copy.distinctValues == [0])
    }

    @Test("a cancelled save lets every write through")
    func cancellation() throws {
        let tensors = TestTensors(sizes: [400_000])
        let checkpointer = try Checkpointer(store: openStore(slowDisk(5)), state: tensors, options: options())
        try checkpointer.save(step: 1).cancel()
        tensors.fill(1)
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
    }

    @Test("state that moves between saves is guarded where it is")
    func movingState() throws {
        let current = Box(TestTensors(sizes: [100_000]))
        let checkpointer = try Checkpointer(store: openStore(slowDisk(0.1)), state: MovingState(current: current), options: options())
        for step in 1...4 {
            if step % 2 == 0 { current.value = TestTensors(sizes: [100_000]) }
            current.value.fill(UInt64(step))
            try checkpointer.save(step: step)
            current.value.fill(77)
        }
        try checkpointer.close()
        for step in 1...4 {
            let copy = TestTensors(sizes: [100_000])
            try checkpointer.store.restore(.step(step), into: copy)
            #expect(copy.distinctValues == [UInt64(step)])
        }
    }

    @Test("restoring into guarded state works, also right after a save")
    func restores() throws {
        let tensors = TestTensors(sizes: [100_000, 24])
        let checkpointer = try Checkpointer(store: openStore(slowDisk(0.1)), state: tensors, options: options())
        tensors.fill(1)
        try checkpointer.save(step: 1)
        tensors.fill(2)
        try checkpointer.save(step: 2)
        try checkpointer.restore(.step(1))
        #expect(tensors.distinctValues == [1])
        try checkpointer.close()
    }
}

@Suite(
    "Checked capture", .timeLimit(.minutes(20)),
    .enabled(if: GuardSupport.finding.isTested, "\(GuardSupport.finding.reason)"))
struct CheckedTests {
    private let memory = InMemoryFileSystem()
    private let sizes = [40_000, 8, 64_000, 800, 16_384, 24]

    init() throws { try GuardSupport.finding.check() }

    /// A checkpointer whose disk waits for `gate`, and the warnings that it gives.
    private func checkpointer(_ tensors: TestTensors, gate: Gate) throws -> (Checkpointer, Box<[String]>) {
        let warnings = Box<[String]>([])
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            try gate.holdWrite(operation)
        }
        var options = smallOptions()
        options.capture = .checked
        options.arenaBytes = 1 << 20
        options.onEvent = { if case .warning(let text) = $0 { warnings.withLock { $0.append(text) } } }
        return (try Checkpointer(store: openStore(disk), state: tensors, options: options), warnings)
    }

    @Test("a loop that keeps to its permits is never blamed", arguments: [true, false])
    func innocent(byGroup: Bool) throws {
        let tensors = TestTensors(sizes: sizes, groups: ["a", "b", "c"])
        let (checkpointer, warnings) = try checkpointer(tensors, gate: Gate(isOpen: true))
        for step in 1...20 {
            if byGroup {
                for group in ["a", "b", "c"] { checkpointer.mutate(group) { tensors.fill(UInt64(step), group: group) } }
            } else {
                checkpointer.mutate { tensors.fill(UInt64(step)) }
            }
            try checkpointer.save(step: step)
        }
        try checkpointer.close()
        #expect(warnings.value == [])
        #expect(try steps(of: checkpointer.store).count == 20)
    }

    @Test("memory that moves between saves is named once, as a mistake")
    func movedMemory() throws {
        let current = Box(TestTensors(sizes: [100_000, 200_000]))
        let warnings = Box<[String]>([])
        var options = smallOptions()
        options.capture = .checked
        options.arenaBytes = 1 << 20
        options.onEvent = { if case .warning(let text) = $0 { warnings.withLock { $0.append(text) } } }
        let checkpointer = try Checkpointer(
            store: openStore(memory), state: MovingState(current: current), options: options)
        let first = current.value
        for step in 1...4 {
            checkpointer.mutate {
                if step == 3 { current.value = TestTensors(sizes: [100_000, 200_000]) }
                if step == 4 { current.value = first }
                current.value.fill(UInt64(step))
            }
            try checkpointer.save(step: step).wait()
            #expect(warnings.value.count == (step < 3 ? 0 : 1), "step \(step): \(warnings.value)")
        }
        #expect(warnings.value.first?.contains("tensor.0 and 1 more has moved") == true)
        try checkpointer.close()
    }

    @Test("a tensor changed without a permit while it is captured is named, and the save fails", arguments: 0..<6)
    func culprit(tensor: Int) throws {
        let tensors = TestTensors(sizes: sizes, groups: ["a", "b", "c"])
        let gate = Gate(isOpen: true)
        let (checkpointer, warnings) = try checkpointer(tensors, gate: gate)
        gate.isOpen = false
        let ticket = try checkpointer.save(step: 1)
        tensors.write(5, atWord: tensors.firstWord(of: tensor))
        gate.isOpen = true
        let error = #expect(throws: CheckpointError.self) { try ticket.wait() }
        #expect(error?.code == .misuse && error?.names == ["tensor.\(tensor)"])
        #expect(warnings.value.count == 1 && warnings.value.allSatisfy { $0.contains("tensor.\(tensor)") })
        checkpointer.mutate { tensors.fill(2) }
        try checkpointer.save(step: 2).wait()
        #expect(try steps(of: checkpointer.store) == [2])
        try checkpointer.close()
    }

    @Test("every save in flight fails when a change is found, not only the first to commit")
    func allInFlight() throws {
        let tensors = TestTensors(sizes: sizes, groups: ["a", "b", "c"])
        let gate = Gate(isOpen: true)
        let (checkpointer, _) = try checkpointer(tensors, gate: gate)
        gate.isOpen = false
        let first = try checkpointer.save(step: 1)
        checkpointer.mutate { tensors.fill(2) }
        let second = try checkpointer.save(step: 2)
        tensors.write(5, atWord: tensors.firstWord(of: 2))
        gate.isOpen = true
        for ticket in [first, second] {
            let error = #expect(throws: CheckpointError.self) { try ticket.wait(timeout: .seconds(20)) }
            #expect(error?.code == .misuse && error?.names == ["tensor.2"])
        }
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        #expect(try steps(of: checkpointer.store).isEmpty)
    }

    @Test("so is one changed under the permit of another group, or between saves")
    func wrongGroup() throws {
        let tensors = TestTensors(sizes: sizes, groups: ["a", "b", "c"])
        let (checkpointer, warnings) = try checkpointer(tensors, gate: Gate(isOpen: true))
        try checkpointer.save(step: 1).wait()
        checkpointer.mutate("a") { tensors.write(5, atWord: tensors.firstWord(of: 2) + 2000) }
        checkpointer.mutate("c") { tensors.fill(3, group: "c") }
        #expect(warnings.value.count == 1 && warnings.value[0].contains("tensor.2"))
        tensors.write(6, atWord: tensors.firstWord(of: 1))
        try checkpointer.save(step: 2).wait()
        #expect(warnings.value.count == 2 && warnings.value[1].contains("tensor.1"))
        try checkpointer.close()
    }
}

/// A state whose tensors a test replaces.
private struct MovingState: StateProvider {
    let current: Box<TestTensors>
    func describe(to inventory: inout StateInventory) throws {
        try current.value.describe(to: &inventory)
    }
}

internal import CheckpointGuard
internal import CheckpointIO
internal import CheckpointTestSupport
internal import Glibc
internal import Testing

@Suite(
    .timeLimit(.minutes(20)), .serialized,
    .enabled(if: GuardSupport.guarding.isTested, "\(GuardSupport.guarding.reason)"))
struct WriteGuardTests {
    init() throws { try GuardSupport.guarding.check() }

    @Test(arguments: GuardSupport.kinds)
    func writeIsHeldUntilReleased(kind: MemoryKind) throws {
        let memory = MappedMemory(kind, pageCount: 1024)
        let guarded = try RecordingGuard(memory)
        let before = kind == .unpopulated ? 0 : UInt64(701)
        try guarded.writes.protect([memory.range])
        let writer = try Attempt { memory[700] = 5 }
        #expect(guarded.waitForHeld(700))
        #expect(try writer.isHeld())
        #expect(memory[700] == before)
        guarded.writes.release(memory.range(700..<701))
        #expect(writer.ends())
        #expect(memory[700] == 5)
    }

    @Test(arguments: GuardSupport.kinds)
    func readsAndWritesOutsideAreNotHeld(kind: MemoryKind) throws {
        let memory = MappedMemory(kind, pageCount: 1024)
        let guarded = try RecordingGuard(memory)
        try guarded.writes.protect([memory.range(100..<600)])
        let reader = try Attempt { (0..<1024).forEach { _ = memory[$0] } }
        #expect(reader.ends())
        let writer = try Attempt { ([99, 600] + (0..<99) + (601..<1024)).forEach { memory[$0] = 7 } }
        #expect(writer.ends())
        #expect(guarded.held.withLock { $0 } == [])
        #expect(memory[99] == 7 && memory[600] == 7)
        let held = try Attempt { memory[100] = 8 }
        #expect(guarded.waitForHeld(100))
        guarded.writes.release(memory.range)
        #expect(held.ends())
    }

    @Test func severalThreadsOnOnePage() throws {
        let memory = MappedMemory(.small, pageCount: 4)
        let guarded = try RecordingGuard(memory)
        try guarded.writes.protect([memory.range])
        let writers = try (1...4).map { value in try Attempt { memory[2] = UInt64(value) } }
        #expect(guarded.waitForHeld(2, count: 4))
        #expect(memory[2] == 3)
        guarded.writes.release(memory.range(2..<3))
        for writer in writers { #expect(writer.ends()) }
        #expect((1...4).contains(memory[2]))
    }

    /// The use that guards are for: some capture blocks in order, writers in any order hurry the blocks that they need, and
    /// what is captured is what was there before.
    @Test(arguments: GuardSupport.kinds, Seeds.first(3))
    func capturesWhatWasThereBefore(kind: MemoryKind, seed: UInt64) throws {
        let memory = MappedMemory(kind, pageCount: 1024)
        let before = (0..<1024).map { memory[$0] }
        let blocks = CapturedBlocks(memory)
        let guarded = try RecordingGuard(memory) { page, writes in blocks.capture(page / 16, writes) }
        try guarded.writes.protect([memory.range])
        let writers = try (0..<3).map { id in
            try Attempt {
                var generator = SeededGenerator(seed &* 3 &+ UInt64(id))
                for page in (0..<1024).shuffled(using: &generator) { memory[page] = 1_000_000 + UInt64(page) }
            }
        }
        for block in 0..<64 { blocks.capture(block, guarded.writes) }
        for writer in writers { #expect(writer.ends()) }
        #expect(blocks.words == before)
        #expect((0..<1024).allSatisfy { memory[$0] == 1_000_000 + UInt64($0) })
    }

    @Test func releasedBeforeTheWriteAndProtectedAgain() throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let guarded = try RecordingGuard(memory)
        for round in 1...3 {
            try guarded.writes.protect([memory.range])
            guarded.writes.release(memory.range(0..<4))
            #expect(try Attempt { memory[1] = 50 }.ends())
            let writer = try Attempt { memory[5] = UInt64(round) }
            #expect(guarded.waitForHeld(5, count: round))
            guarded.writes.release(memory.range)
            guarded.writes.release(memory.range)
            #expect(writer.ends())
            #expect(memory[5] == UInt64(round))
        }
        #expect(guarded.held.withLock { $0 } == [5, 5, 5])
    }

    /// A huge page of which a part is released is still protected in the rest.
    @Test(.enabled(if: GuardSupport.hasHugePages, "\(GuardSupport.noHugePages)"))
    func partsOfAHugePage() throws {
        let memory = MappedMemory(.huge, pageCount: 1024)
        // The kernel may have joined the mapping with a neighbour's, which it then counts too; a registered one stands alone.
        #expect(memory.hugeByteCount() >= 4 << 20)
        let guarded = try RecordingGuard(memory)
        try guarded.writes.protect([memory.range])
        #expect(memory.hugeByteCount() == 4 << 20, "protecting whole huge pages splits none")
        let writers = try [10, 400].map { page in try Attempt { memory[page] = 9 } }
        #expect(guarded.waitForHeld(10) && guarded.waitForHeld(400))
        guarded.writes.release(memory.range(0..<256))
        #expect(writers[0].ends())
        #expect(try writers[1].isHeld())
        #expect(memory.hugeByteCount() == 2 << 20, "only the huge page that was released in part is split")
        guarded.writes.release(memory.range(256..<1024))
        #expect(writers[1].ends())
    }

    @Test(arguments: GuardSupport.kinds)
    func writesOfTheKernelAreHeld(kind: MemoryKind) throws {
        let memory = MappedMemory(kind, pageCount: 512)
        let guarded = try RecordingGuard(memory)
        try guarded.writes.protect([memory.range])
        let count = Monitor(0, rank: .unchecked)
        let reader = try Attempt { [count] in
            let result = memory.writeByKernel(3, 77)
            count.withLock { $0 = result }
        }
        #expect(guarded.waitForHeld(3))
        #expect(try reader.isHeld())
        guarded.writes.release(memory.range)
        #expect(reader.ends())
        #expect(count.withLock { $0 } == 8)
        #expect(memory[3] == 77)
    }

    @Test(arguments: [true, false])
    func closingLetsHeldWritesGo(explicitly: Bool) throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let writers: [Attempt]
        do {
            let guarded = try RecordingGuard(memory)
            try guarded.writes.protect([memory.range])
            writers = try [1, 6].map { page in try Attempt { memory[page] = 9 } }
            #expect(guarded.waitForHeld(1) && guarded.waitForHeld(6))
            if explicitly {
                guarded.writes.close()
                guarded.writes.close()
                guarded.writes.release(memory.range)
                #expect(guardError { () throws(GuardError) in try guarded.writes.protect([memory.range]) } == .closed)
            }
        }
        for writer in writers { #expect(writer.ends()) }
        #expect(memory[1] == 9 && memory[6] == 9)
    }

    /// Closing first lets go and then waits for `onWrite`, which may take long.
    @Test func closingWhileAWriteIsReported() throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let (hasWritten, sawItEnd) = (
            Monitor(false, rank: .unchecked), Monitor(false, rank: .unchecked))
        let guarded = try RecordingGuard(memory) { _, _ in
            let ended = hasWritten.waitFor(timeout: .seconds(60)) { $0 ? true : nil } ?? false
            sawItEnd.withLock { $0 = ended }
        }
        try guarded.writes.protect([memory.range])
        let writer = try Attempt {
            memory[1] = 9
            hasWritten.withLock { $0 = true }
        }
        #expect(guarded.waitForHeld(1))
        guarded.writes.close()
        #expect(writer.ends())
        #expect(sawItEnd.withLock { $0 })
    }

    @Test func unregisteringLetsHeldWritesGo() throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let guarded = try RecordingGuard(memory)
        try guarded.writes.protect([memory.range])
        let writers = try [1, 6].map { page in try Attempt { memory[page] = 9 } }
        #expect(guarded.waitForHeld(1) && guarded.waitForHeld(6))
        guarded.writes.unregister([memory.range(0..<4)])
        #expect(writers[0].ends())
        #expect(try writers[1].isHeld())
        guarded.writes.unregister([memory.range])
        #expect(writers[1].ends())
    }

    /// Memory given back and mapped anew is not guarded, keeps nobody else held, and can be registered again.
    @Test func memoryMappedAnew() throws {
        let memory = MappedMemory(.small, pageCount: 64)
        let guarded = try RecordingGuard(memory)
        try guarded.writes.protect([memory.range])
        let writers = try [9, 12, 20].map { page in try Attempt { memory[page] = 9 } }
        #expect([9, 12, 20].allSatisfy { guarded.waitForHeld($0) })
        memory.remap(10..<20)
        #expect(try Attempt { memory[15] = 4 }.ends())
        guarded.writes.release(memory.range)
        for writer in writers { #expect(writer.ends()) }
        let failure = guardError { () throws(GuardError) in try guarded.writes.protect([memory.range]) }
        #expect(failure == .failed("UFFDIO_WRITEPROTECT", memory.range, errno: ENOENT))
        #expect(try Attempt { memory[0] = 3 }.ends(), "nothing is protected where protecting failed")
        try guarded.writes.register([memory.range])
        try guarded.writes.protect([memory.range])
        let writer = try Attempt { memory[15] = 5 }
        #expect(guarded.waitForHeld(15))
        guarded.writes.release(memory.range)
        #expect(writer.ends())
    }

    /// The kernel refuses calls for a range with such a page in it, so they are made for its parts.
    @Test(arguments: [true, false])
    func aFileMappedInBetween(releases: Bool) throws {
        let memory = MappedMemory(.small, pageCount: 64)
        let guarded = try RecordingGuard(memory)
        try guarded.writes.protect([memory.range])
        memory.remapToFile(30)
        let writers = try [29, 31].map { page in try Attempt { memory[page] = 9 } }
        #expect(guarded.waitForHeld(29) && guarded.waitForHeld(31))
        if releases {
            guarded.writes.release(memory.range)
        } else {
            guarded.writes.unregister([memory.range])
        }
        for writer in writers { #expect(writer.ends()) }
    }

    @Test func touchingAndOverlappingRanges() throws {
        let memory = MappedMemory(.small, pageCount: 64)
        let guarded = try RecordingGuard(memory)
        let ranges = [memory.range(30..<40), memory.range(10..<20), memory.range(20..<32), memory.range(12..<13)]
        guarded.writes.unregister([memory.range])
        try guarded.writes.register(Array(ranges[..<2]))
        try guarded.writes.register(Array(ranges[2...]))
        try guarded.writes.protect(ranges)
        #expect(try Attempt { [9, 40].forEach { memory[$0] = 1 } }.ends())
        let writers = try [10, 39].map { page in try Attempt { memory[page] = 9 } }
        #expect(guarded.waitForHeld(10) && guarded.waitForHeld(39))
        guarded.writes.release(memory.range)
        for writer in writers { #expect(writer.ends()) }
    }

    @Test func registersAllOrNone() throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let writes = try WriteGuard { _ in }
        let (good, bad) = (memory.range(0..<2), memory.range(6..<7))
        memory.remapToFile(6)
        let failure = guardError { () throws(GuardError) in try writes.register([bad, good]) }
        #expect(failure == .failed("UFFDIO_REGISTER", bad, errno: EINVAL))
        let unregistered = guardError { () throws(GuardError) in try writes.protect([good]) }
        #expect(unregistered == .failed("UFFDIO_WRITEPROTECT", good, errno: ENOENT))
    }

    @Test func aPageHasOneGuard() throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let guarded = try RecordingGuard(memory)
        let other = try WriteGuard { _ in }
        let failure = guardError { () throws(GuardError) in try other.register([memory.range]) }
        #expect(failure == .failed("UFFDIO_REGISTER", memory.range, errno: EBUSY))
        guarded.writes.unregister([memory.range])
        try other.register([memory.range])
    }
}

/// The error of an attempt, if it fails.
func guardError(_ attempt: () throws(GuardError) -> Void) -> GuardError? {
    do {
        try attempt()
        return nil
    } catch {
        return error
    }
}

/// Blocks of 16 pages, each captured once and then released.
private final class CapturedBlocks: Sendable {
    private let memory: MappedMemory
    private let captured: Monitor<[UInt64?]>

    init(_ memory: MappedMemory) {
        self.memory = memory
        captured = Monitor(
            Array(repeating: nil, count: memory.pageCount), rank: .unchecked)
    }

    var words: [UInt64?] { captured.withLock { $0 } }

    func capture(_ block: Int, _ writes: WriteGuard) {
        let pages = block * 16..<(block + 1) * 16
        captured.withLock { captured in
            guard captured[pages.lowerBound] == nil else { return }
            for page in pages { captured[page] = memory[page] }
        }
        writes.release(memory.range(pages))
    }
}

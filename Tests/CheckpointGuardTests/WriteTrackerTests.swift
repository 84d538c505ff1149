internal import CheckpointGuard
internal import CheckpointTestSupport
internal import Glibc
internal import Testing

@Suite(
    .timeLimit(.minutes(20)), .serialized,
    .enabled(if: GuardSupport.tracking.isTested, "\(GuardSupport.tracking.reason)"))
struct WriteTrackerTests {
    init() throws { try GuardSupport.tracking.check() }

    private func tracker(of memory: MappedMemory) throws -> WriteTracker {
        let tracker = try WriteTracker()
        try tracker.register([memory.range])
        try tracker.arm([memory.range])
        return tracker
    }

    @Test(arguments: GuardSupport.kinds, Seeds.first(5))
    func findsExactlyThePagesWritten(kind: MemoryKind, seed: UInt64) throws {
        var generator = SeededGenerator(seed)
        let memory = MappedMemory(kind, pageCount: 1536)
        let tracker = try tracker(of: memory)
        for round in 0..<3 {
            let written = Set((0..<[0, 40, 1500][round]).map { _ in generator.below(memory.pageCount) })
            for page in written { memory[page] = generator.next() }
            let found = try tracker.written(in: [memory.range])
            #expect(memory.pages(found) == written)
            #expect(zip(found, found.dropFirst()).allSatisfy { $0.end < $1.start })
            try tracker.arm([memory.range])
        }
    }

    @Test(arguments: GuardSupport.kinds)
    func readingIsNotWriting(kind: MemoryKind) throws {
        let memory = MappedMemory(kind, pageCount: 600)
        let tracker = try tracker(of: memory)
        for page in 0..<600 { _ = memory[page] }
        #expect(try tracker.written(in: [memory.range]) == [])
    }

    /// A write that changes nothing is still one.
    @Test func theSameBytesAgain() throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let tracker = try tracker(of: memory)
        memory[4] = memory[4]
        #expect(try tracker.written(in: [memory.range]) == [memory.range(4..<5)])
    }

    @Test func moreRunsThanOneScanHasRoomFor() throws {
        let memory = MappedMemory(.small, pageCount: 5000)
        let tracker = try tracker(of: memory)
        let written = Set(stride(from: 1, to: 5000, by: 2))
        for page in written { memory[page] = 0 }
        let found = try tracker.written(in: [memory.range])
        #expect(found.count == written.count)
        #expect(memory.pages(found) == written)
    }

    @Test func onlyWhatIsAskedFor() throws {
        let memory = MappedMemory(.small, pageCount: 3000)
        let tracker = try tracker(of: memory)
        for page in 0..<3000 { memory[page] = 0 }
        let ranges = (0..<1000).map { memory.range($0 * 3..<$0 * 3 + 2) }
        #expect(try tracker.written(in: ranges.reversed()) == ranges)
        #expect(try tracker.written(in: []) == [])
        try tracker.arm([memory.range(5..<1000)])
        #expect(try tracker.written(in: [memory.range]) == [memory.range(0..<5), memory.range(1000..<3000)])
    }

    @Test func writesOfTheKernel() throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let tracker = try tracker(of: memory)
        #expect(memory.writeByKernel(6, 1) == 8)
        #expect(try tracker.written(in: [memory.range]) == [memory.range(6..<7)])
    }

    @Test func memoryMappedAnewCountsOnceItHoldsSomething() throws {
        let memory = MappedMemory(.small, pageCount: 64)
        let tracker = try tracker(of: memory)
        memory.remap(10..<20)
        memory[12] = 1
        let found = try tracker.written(in: [memory.range])
        #expect(memory.pages(found).contains(12))
        #expect(memory.pages(found).isSubset(of: Set(10..<20)))
        #expect(guardError { () throws(GuardError) in try tracker.arm([memory.range]) } != nil)
        try tracker.register([memory.range])
        try tracker.arm([memory.range])
        #expect(try tracker.written(in: [memory.range]) == [])
    }

    @Test func unregisteredPagesCanBeGuarded() throws {
        let memory = MappedMemory(.small, pageCount: 8)
        let tracker = try tracker(of: memory)
        let other = try WriteTracker()
        let failure = guardError { () throws(GuardError) in try other.register([memory.range]) }
        #expect(failure == .failed("UFFDIO_REGISTER", memory.range, errno: EBUSY))
        tracker.unregister([memory.range])
        try other.register([memory.range])
        try other.arm([memory.range])
        #expect(try other.written(in: [memory.range]) == [])
    }
}

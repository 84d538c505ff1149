internal import CheckpointGuard
internal import Foundation
internal import Testing

/// What guarding costs on this machine. Prints; run it alone, in a release build:
/// `CKPT_MEASURE=1 swift test -c release -Xswiftc -enable-testing --filter GuardMeasurements`.
@Suite(
    .timeLimit(.minutes(20)), .serialized,
    .enabled(if: ProcessInfo.processInfo.environment["CKPT_MEASURE"] != nil))
struct GuardMeasurements {
    private let pageCount = 1 << 18  // 1 GiB of 4K pages

    @Test(arguments: GuardSupport.kinds)
    func writeGuard(kind: MemoryKind) throws {
        let memory = MappedMemory(kind, pageCount: pageCount)
        let guarded = try RecordingGuard(memory) { page, writes in writes.release(memory.range(page..<page + 1)) }
        try time("\(kind): protect 1 GiB") { try guarded.writes.protect([memory.range]) }
        time("\(kind): release 1 GiB in 4 MiB blocks", per: 256) {
            for block in 0..<256 { guarded.writes.release(memory.range(block * 1024..<(block + 1) * 1024)) }
        }
        for what in ["first", "second"] {
            time("\(kind): \(what) write to a released page", per: pageCount) { for page in 0..<pageCount { memory[page] = 1 } }
        }
        try time("\(kind): protect 1 GiB again") { try guarded.writes.protect([memory.range]) }
        time("\(kind): release 1 GiB at once") { guarded.writes.release(memory.range) }
        try guarded.writes.protect([memory.range])
        let pages = stride(from: 5, to: pageCount, by: 512)
        time("\(kind): held write, released by the guard's thread", per: pageCount / 512) {
            for page in pages { memory[page] = 2 }
        }
        #expect(pages.allSatisfy { memory[$0] == 2 })
    }

    @Test(arguments: GuardSupport.kinds)
    func writeTracker(kind: MemoryKind) throws {
        let memory = MappedMemory(kind, pageCount: pageCount)
        let tracker = try WriteTracker()
        try tracker.register([memory.range])
        try time("\(kind): arm 1 GiB") { try tracker.arm([memory.range]) }
        var found = try time("\(kind): scan 1 GiB clean") { try tracker.written(in: [memory.range]) }
        #expect(found == [])
        for what in ["first", "second"] {
            time("\(kind): \(what) write to a page", per: pageCount) { for page in 0..<pageCount { memory[page] = 1 } }
        }
        found = try time("\(kind): scan 1 GiB dirty") { try tracker.written(in: [memory.range]) }
        #expect(found == [memory.range])
        try tracker.arm([memory.range])
        for page in stride(from: 0, to: pageCount, by: 2) { memory[page] = 1 }
        found = try time("\(kind): scan 1 GiB, every second page dirty") { try tracker.written(in: [memory.range]) }
        #expect(found.count == pageCount / 2)
    }

    private func time<R>(_ what: String, per count: Int = 1, _ body: () throws -> R) rethrows -> R {
        let start = ContinuousClock.now
        defer {
            let microseconds = (ContinuousClock.now - start) / .microseconds(1)
            print("\(what): \((microseconds / Double(count)).formatted(.number.precision(.significantDigits(3)))) us")
        }
        return try body()
    }
}

import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import Logging
import SystemPackage
import Testing

@Suite("Events", .timeLimit(.minutes(20)))
struct EventTests {
    private let memory = InMemoryFileSystem()

    @Test("every subscriber sees all of every save in order, and the streams end when the checkpointer closes")
    func streams() async throws {
        let tensors = TestTensors(sizes: [20_000])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        let (first, second) = (checkpointer.events(), checkpointer.events())
        let ids = try (1...2).map { step in
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            let ticket = try checkpointer.save(step: step)
            try ticket.wait()
            return ticket.id
        }
        try checkpointer.close()
        for stream in [first, second] {
            var seen: [String] = []
            for await event in stream { seen.append(word(for: event)) }
            for (step, id) in zip(1..., ids) {
                let expected = ["started \(step) \(id)", "captured \(step)", "durable \(step)", "committed \(step) \(id)"]
                #expect(seen.filter { expected.contains($0) } == expected)
                #expect(seen.count { $0 == "progress \(step)" } == 5)
            }
            #expect(seen.count == 2 * 9)
        }
        var late = checkpointer.events().makeAsyncIterator()
        #expect(await late.next() == nil)
    }

    private func word(for event: CheckpointEvent) -> String {
        switch event {
        case .started(let step, let id): "started \(step) \(id)"
        case .progress(let step, _, _): "progress \(step)"
        case .captured(let step): "captured \(step)"
        case .durable(let step): "durable \(step)"
        case .committed(let report): "committed \(report.step) \(report.id)"
        case .mirrored(let step, _): "mirrored \(step)"
        case .failed(let step, _): "failed \(step)"
        case .warning(let message): "warning \(message)"
        }
    }

    @Test("who falls behind loses the oldest events; who leaves is forgotten; who is dropped ends the streams")
    func bounds() async {
        var publisher: EventPublisher? = EventPublisher()
        let slow = publisher?.subscribe()
        do {
            let leaving = publisher?.subscribe()
            #expect(publisher?.subscriberCount == 2)
            _ = leaving
        }
        for step in 0..<3000 { publisher?.publish(.captured(step: step)) }
        #expect(publisher?.subscriberCount == 1)
        publisher = nil
        var steps: [Int] = []
        for await event in slow ?? EventPublisher().subscribe() {
            if case .captured(let step) = event { steps.append(step) }
        }
        #expect(steps == Array(1976..<3000))
    }

    @Test("a report says what the save did to the trainer")
    func report() throws {
        let gate = Gate(isOpen: true)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            try gate.holdWrite(operation)
            if operation.verb.hasPrefix("write") { sleepMilliseconds(10) }
        }
        let tensors = TestTensors(sizes: [200_000])
        let reports = Box<[SaveReport]>([])
        var options = smallOptions()
        options.onEvent = { if case .committed(let report) = $0 { reports.value.append(report) } }
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options)
        gate.isOpen = false
        let ticket = try checkpointer.save(step: 1)
        // The trainer comes to its fence before the disk has written anything.
        gate.isOpen = true
        checkpointer.mutate { tensors.fill(1) }
        try ticket.wait()
        try checkpointer.save(step: 2).wait()
        try checkpointer.close()
        try #require(reports.value.count == 2)
        let (held, free) = (reports.value[0], reports.value[1])
        #expect(held.stallBackpressure > .zero, "49 blocks went through 4 slots")
        #expect(held.stallSubmit > .zero)
        #expect(held.stallFence > .zero)
        #expect(free.stallFence == .zero, "nothing was changed while it was captured")
        #expect(free.stallBackpressure < held.stallBackpressure, "49 blocks of 10 ms, and none")
        #expect(held.arenaHighWaterBytes == 4 * 4096)
        #expect(held.ratio == 200_000 / Double(held.storedBytes))
        #expect(abs(held.bytesPerSecond * (held.timeToCommitted / .seconds(1)) - 200_000) < 1)
        let total = checkpointer.stall
        #expect(total.submit >= held.stallSubmit + free.stallSubmit)
        #expect(total.backpressure >= held.stallBackpressure)
    }

    @Test("the trainer's thread runs no code of observers while it captures at a fence", arguments: [false, true])
    func threads(isReusing: Bool) throws {
        let gate = Gate(isOpen: true)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            try gate.holdWrite(operation)
        }
        let trainer = pthread_self()
        let threads = Box<[pthread_t]>([])
        var options = smallOptions()
        // Room for all blocks: the worker stops early, and the trainer captures the others.
        options.arenaBytes = 40 * 4096
        options.deduplicates = isReusing
        options.onEvent = { event in
            switch event {
            case .captured, .progress: threads.value.append(pthread_self())
            default: break
            }
        }
        let tensors = TestTensors(sizes: [32 * 4096])
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options)
        var fenced = 0
        for step in 1...20 {
            // If chunks are reused, every other save finds all of them.
            if !isReusing || step % 2 == 1 { tensors.fill(UInt64(step)) }
            gate.isOpen = false
            let ticket = try checkpointer.save(step: step)
            checkpointer.mutate {}
            gate.isOpen = true
            try ticket.wait()
            fenced += ticket.report?.fencedBytes ?? 0
        }
        try checkpointer.close()
        #expect(fenced > 0)
        #expect(threads.value.count > 20)
        #expect(!threads.value.contains(trainer))
    }

    @Test("a wait is charged as what it was, as far as it has come")
    func timing() {
        let start = ContinuousClock.now
        func at(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }
        var timing = SaveTiming()
        timing.begin(submitted: at(7), backpressure: .milliseconds(7))
        timing.begin(.fence, at: at(8))
        timing.move(toBackpressure: .milliseconds(1))
        timing.end(at: at(9))
        #expect(timing.stall(at: at(10)).submit == .milliseconds(3))
        timing.end(at: at(12))
        timing.begin(.fence, at: at(20))
        timing.move(toBackpressure: .milliseconds(4))
        #expect(timing.stall(at: at(26)).fence == .milliseconds(2))
        timing.end(at: at(30))
        let report = timing.stall(at: at(99))
        #expect(report.submit == .milliseconds(5))
        #expect(report.fence == .milliseconds(6))
        #expect(report.backpressure == .milliseconds(11))
    }

    @Test("the log tells of each save once, with metadata")
    func log() throws {
        let lines = Box<[LogLine]>([])
        let isBroken = Box(false)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if isBroken.value, operation.verb == "sync" { throw FileSystemError("fsync(2)", operation.path, .ioError) }
        }
        var options = smallOptions()
        options.logger = Logger(label: "test") { _ in RecordingLog(lines: lines) }
        options.logger.logLevel = .trace
        let checkpointer = try Checkpointer(store: openStore(disk), state: TestTensors(sizes: [64]), options: options)
        try checkpointer.save(step: 1).wait()
        isBroken.value = true
        #expect(throws: CheckpointError.self) { try checkpointer.save(step: 2).wait() }
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        #expect(lines.value.filter { $0.step == "1" }.map(\.level) == [.trace, .trace, .trace, .debug])
        #expect(lines.value.filter { $0.step == "2" }.map(\.level) == [.trace, .trace, .error])
        #expect(Set(lines.value.map { $0.metadata["checkpoint"] }).count == 2)
        let committed = try #require(lines.value.first { $0.level == .debug })
        let keys: Set = ["step", "checkpoint", "bytes", "stored_bytes", "ratio", "seconds", "gb_per_s", "stall_seconds"]
        #expect(Set(committed.metadata.keys) == keys)
        #expect(committed.metadata["bytes"] == "64")
    }
}

private struct LogLine: Sendable {
    var level: Logger.Level
    var metadata: [String: String]
    var step: String? { metadata["step"] }
}

private struct RecordingLog: LogHandler {
    let lines: Box<[LogLine]>
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        lines.value.append(LogLine(level: event.level, metadata: (event.metadata ?? [:]).mapValues(\.description)))
    }
}

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

@Suite("Trace files", .timeLimit(.minutes(20)))
struct TraceTests {
    private let memory = InMemoryFileSystem()
    private let directory: TemporaryDirectory
    private let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.appending("trace.json")
    }

    /// One save that is captured during a `forward`, and one that is captured at a fence.
    private func train(_ tensors: TestTensors, _ checkpointer: Checkpointer, _ gate: Gate) throws {
        gate.isOpen = false
        let ticket = try checkpointer.save(step: 1)
        gate.isOpen = true
        try checkpointer.trace("forward") { try ticket.wait(for: .captured) }
        checkpointer.mutate { checkpointer.trace("update") { tensors.fill(1) } }
        try ticket.wait()
        try checkpointer.writeTrace(to: directory.appending("so-far.json"))
        try checkpointer.save(step: 2)
        checkpointer.mutate { checkpointer.trace("update") { tensors.fill(2) } }
    }

    @Test("a trace shows capture beside forward, writing beside capture, and every thread on a lane of its own")
    func lanes() throws {
        let gate = Gate(isOpen: true)
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            try gate.holdWrite(operation)
            if operation.verb.hasPrefix("write") { sleepMilliseconds(1) }
        }
        let tensors = TestTensors(sizes: [400_000])
        var options = smallOptions(workers: 2)
        options.tracePath = path
        options.run = "a \"run\""
        try Data("an older file".utf8).write(to: URL(fileURLWithPath: path))
        let checkpointer = try Checkpointer(store: openStore(disk), state: tensors, options: options)
        try train(tensors, checkpointer, gate)
        try checkpointer.close()
        #expect(try Set(FileManager.default.contentsOfDirectory(atPath: directory.path)) == ["trace.json", "so-far.json"])

        let trace = try Trace(path)
        #expect(trace.otherData.run == checkpointer.run.description)
        #expect(trace.otherData.dropped_spans == 0)
        #expect(Set(trace.lanes.values) == ["trainer", "ckpt-worker-0", "ckpt-worker-1", "ckpt-writer", "ckpt-objects"])
        #expect(trace.lanes[1] == "trainer")
        #expect(trace.traceEvents.first?.args.name == "a \"run\"")
        #expect(trace.spans.allSatisfy { trace.lanes[$0.tid] != nil })
        #expect(trace.crossings.isEmpty)
        try checkSpans(of: trace)
        #expect(try Trace(directory.appending("so-far.json")).spans("save").map(\.args.step) == [1])
    }

    private func checkSpans(of trace: Trace) throws {
        let save = try #require(trace.spans("save").first)
        let forward = try #require(trace.spans("forward").first)
        let captures = trace.spans("capture", step: 1)
        #expect(captures.count == 98)
        #expect(captures.map { $0.args.bytes ?? 0 }.reduce(0, +) == 400_000)
        #expect(captures.allSatisfy { $0.began >= save.began })
        // The disk stood still until `save` had returned: no more than the arena's four slots could be captured.
        #expect(captures.count { $0.began >= save.ended } >= 94)
        #expect(captures.count { $0.began < forward.ended && $0.ended > forward.began } >= 94)
        let writes = trace.spans("write", step: 1)
        #expect(Set(writes.map(\.args.block)) == Set(0..<98))
        #expect(try #require(writes.map(\.began).min()) < #require(captures.map(\.ended).max()))
        #expect(trace.spans("encode", step: 1).count == 98)
        #expect(trace.spans("commit").map(\.args.step) == [1, 2])

        let fence = try #require(trace.spans("fence").last)
        let lastUpdate = try #require(trace.spans("update").last)
        #expect(fence.args.step == 2)
        #expect(trace.spans("capture", step: 2).allSatisfy { $0.ended <= lastUpdate.began })
        #expect(trace.spans("backpressure").contains { $0.began >= fence.began && $0.ended <= fence.ended })
        #expect(trace.lanesOf("write") == ["ckpt-writer"])
        #expect(trace.lanesOf("fence").union(trace.lanesOf("save")) == ["trainer"])
    }

    @Test("a save that must wait for the one before it shows why")
    func admission() throws {
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            if operation.verb.hasPrefix("write") { sleepMilliseconds(2) }
        }
        var options = smallOptions()
        options.tracePath = path
        options.arenaBytes = 64 * 4096
        let checkpointer = try Checkpointer(store: openStore(disk), state: TestTensors(sizes: [40_000]), options: options)
        for step in 1...3 { try checkpointer.save(step: step) }
        try checkpointer.save(step: 4).cancel()
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        let trace = try Trace(path)
        let waits = trace.spans("backpressure", step: 3)
        let save = try #require(trace.spans("save", step: 3).first)
        #expect(waits.count == 1)
        #expect(waits.allSatisfy { $0.began >= save.began && $0.ended <= save.ended })
        #expect(trace.spans("abandon").map(\.args.step) == [4])
        #expect(trace.crossings.isEmpty)
    }

    @Test("when there is no more room the oldest spans go, and the file says how many")
    func bounded() throws {
        let recorder = TraceRecorder(spansMax: 3)
        for step in 1...5 { recorder.trainer.end("s", since: recorder.trainer.begin(), step: step) }
        let (_, spans, dropped) = recorder.contents()
        #expect(spans.map(\.detail.step) == [3, 4, 5])
        #expect(dropped == 2)
        let fresh = TraceRecorder(spansMax: 3)
        fresh.trainer.end("s", since: fresh.trainer.begin(), step: 1)
        #expect(fresh.contents().spans.map(\.detail.step) == [1])

        var options = smallOptions()
        options.tracePath = path
        options.traceEventsMax = 7
        let checkpointer = try Checkpointer(store: openStore(memory), state: TestTensors(sizes: [40_000]), options: options)
        try checkpointer.save(step: 1)
        try checkpointer.close()
        let trace = try Trace(path)
        #expect(trace.spans.count == 7)
        // 10 blocks captured, encoded and written; one save, one commit.
        #expect(trace.otherData.dropped_spans == 32 - 7)
    }

    @Test("any name comes back as it was")
    func escaping() throws {
        let recorder = TraceRecorder(spansMax: 8)
        let nasty: StaticString = "a \"b\" \\ /\n\t\u{1}\u{7f} é 🙂 \u{2028}"
        let track = recorder.track(named: nasty.description)
        track.end(nasty, since: track.begin(), block: 3)
        let (lanes, spans, _) = recorder.contents()
        let file = TraceFile(
            processID: 9, processName: nasty.description, run: RunID.next(clockMilliseconds: 1, after: nil), tracks: lanes,
            spans: spans, droppedSpans: 0, origin: recorder.started)
        let trace = try Trace(text: Data(file.text))
        #expect(trace.traceEvents.map(\.name) == ["process_name", "thread_name", "thread_name", nasty.description])
        #expect(trace.traceEvents.map(\.args.name) == [nasty.description, "trainer", nasty.description, nil])
        #expect(trace.spans.first?.args.block == 3)
        #expect(trace.spans.first?.args.step == nil)
        #expect(trace.traceEvents.allSatisfy { $0.pid == 9 })
    }

    @Test("a trace that cannot be written is a warning; without a path nothing is recorded")
    func failures() throws {
        var options = smallOptions()
        options.tracePath = directory.appending("missing/trace.json")
        let warnings = Box<[String]>([])
        options.onEvent = { if case .warning(let message) = $0 { warnings.value.append(message) } }
        let traced = try Checkpointer(store: openStore(memory), state: TestTensors(sizes: [64]), options: options)
        try traced.save(step: 1)
        try traced.close()
        #expect(warnings.value.count == 1)
        #expect(warnings.value.first?.contains("missing/trace.json") == true)

        let other = InMemoryFileSystem()
        let untraced = try Checkpointer(store: openStore(other), state: TestTensors(sizes: [64]), options: smallOptions())
        #expect(untraced.trace("forward") { 42 } == 42)
        let error = #expect(throws: CheckpointError.self) { try untraced.writeTrace(to: path) }
        #expect(error?.code == .misuse)
        try untraced.close()
        #expect(!FileManager.default.fileExists(atPath: path))
    }
}

/// A trace file, read back by a reader that knows JSON only.
private struct Trace: Decodable {
    struct Event: Decodable {
        struct Arguments: Decodable {
            var name: String?
            var step, block, bytes: Int?
        }

        var name, ph: String
        var pid, tid: Int
        var ts, dur: Double?
        var args: Arguments

        /// In nanoseconds, which the file has exactly.
        var began: Int { Int(((ts ?? .nan) * 1000).rounded()) }
        var ended: Int { began + Int(((dur ?? .nan) * 1000).rounded()) }
    }

    struct Other: Decodable {
        var writer, run: String
        var dropped_spans: Int
    }

    var displayTimeUnit: String
    var otherData: Other
    var traceEvents: [Event]

    init(_ path: String) throws { try self.init(text: Data(contentsOf: URL(fileURLWithPath: path))) }
    init(text: Data) throws { self = try JSONDecoder().decode(Trace.self, from: text) }

    var spans: [Event] { traceEvents.filter { $0.ph == "X" } }
    var lanes: [Int: String] {
        let names = traceEvents.filter { $0.ph == "M" && $0.name == "thread_name" }
        return Dictionary(uniqueKeysWithValues: names.map { ($0.tid, $0.args.name ?? "") })
    }

    func spans(_ name: String, step: Int? = nil) -> [Event] {
        spans.filter { $0.name == name && (step == nil || $0.args.step == step) }
    }

    func lanesOf(_ name: String) -> Set<String> { Set(spans(name).compactMap { lanes[$0.tid] }) }

    /// Pairs of spans of one thread that neither nest nor are disjoint.
    var crossings: [String] {
        var found: [String] = []
        for (_, lane) in Dictionary(grouping: spans, by: \.tid) {
            var open: [Event] = []
            for span in lane.sorted(by: { ($0.began, -$0.ended) < ($1.began, -$1.ended) }) {
                while let last = open.last, last.ended <= span.began { open.removeLast() }
                if let last = open.last, span.ended > last.ended { found.append("\(last.name) \(span.name) at \(span.began)") }
                open.append(span)
            }
        }
        return found
    }
}

import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
@testable import CheckpointMaintenance
import CheckpointSegments
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

@Suite("Watching", .timeLimit(.minutes(20)))
struct WatchTests {
    private let run = RunID(rawValue: 3 << 80)

    private func status(_ step: Int, _ phase: SaveStatus.Phase, written: Int = 0, id: Int? = nil) -> SaveStatus {
        var status = SaveStatus(run: run)
        (status.step, status.phase, status.written, status.total) = (step, phase, written, 1000)
        (status.started, status.updated, status.stall, status.process) = (10_000, 12_000, 1_500_000, 42)
        status.id = CheckpointID(rawValue: UInt128(id ?? step))
        return status
    }

    private func name(_ step: Int) -> ManifestName { ManifestName(run: run, step: step) }

    @Test("a record is read back; another version, and every flipped bit, is no record")
    func record() {
        var status = status(7, .captured, written: 5)
        (status.committedCount, status.failedCount, status.lastStep, status.lastDuration) = (1, 2, 3, 4)
        (status.lastStall, status.lastBytes, status.lastNewBytes) = (5, 6, 7)
        (status.mirroredCount, status.mirroredStep) = (8, 9)
        var buffer = [UInt8](repeating: 0xFF, count: SaveStatus.bytes)
        status.encode(into: &buffer, digest: Hashing.digest)
        #expect(SaveStatus(decoding: buffer, digest: Hashing.digest) == status)
        for index in buffer.indices {
            buffer[index] ^= 1
            #expect(SaveStatus(decoding: buffer, digest: Hashing.digest) == nil)
            buffer[index] ^= 1
        }
        #expect(SaveStatus(decoding: Array(buffer.dropLast()), digest: Hashing.digest) == nil)
    }

    @Test("what two looks at a store tell")
    func tracking() {
        var tracker = WatchTracker(WatchSample(status: nil, names: [name(1)]))
        #expect(tracker.observe(.init(status: nil, names: [name(1)])) == [])
        let progress = WatchEvent.Progress(step: 2, written: 500, total: 1000, speed: 250, remaining: 2, stall: 1.5)
        #expect(
            tracker.observe(.init(status: status(2, .capturing, written: 500), names: [name(1)]))
                == [.writer(process: 42, run: run), .started(step: 2), .progress(progress)])
        #expect(tracker.observe(.init(status: status(2, .captured, written: 500), names: [name(1)])) == [])
        var done = status(2, .committed, written: 1000)
        (done.committedCount, done.lastStep, done.lastDuration) = (1, 2, 250_000)
        (done.lastStall, done.lastBytes, done.lastNewBytes) = (1000, 9, 8)
        #expect(
            tracker.observe(.init(status: done, names: [name(1), name(2)]))
                == [.committed(name(2), .init(seconds: 0.25, stall: 0.001, bytes: 9, newBytes: 8))])
        #expect(tracker.observe(.init(status: status(3, .failed), names: [name(2)])) == [.removed(name(1)), .failed(step: 3)])
        // The manifest is there, though the record has not been written since.
        #expect(tracker.observe(.init(status: status(4, .captured, written: 10), names: [name(2), name(4)])) == [.committed(name(4), nil)])
        #expect(tracker.observe(.init(status: nil, names: [name(2), name(4)])) == [.writerGone(process: 42)])
        // Another restart goes on.
        let (fifth, sixth) = (ManifestName(run: RunID(rawValue: 4 << 80), step: 5), ManifestName(run: RunID(rawValue: 4 << 80), step: 6))
        #expect(
            tracker.observe(.init(status: nil, names: [name(2), name(4), fifth, sixth]))
                == [.restarted(fifth), .committed(fifth, nil), .committed(sixth, nil)])
    }

    @Test("each change of what ranks have done is told, before what is known of the save as a whole")
    func ranks() {
        var tracker = WatchTracker(WatchSample(status: nil, names: [name(1)]))
        var save = RankedSave(step: 2, worldSize: 4, begun: [0, 2], durable: [], failed: [])
        #expect(save.unfinished == [0, 2] && save.absent == [1, 3])
        let first = WatchSample(status: status(2, .capturing), names: [name(1)], ranks: save)
        #expect(
            tracker.observe(first).prefix(3)
                == [.writer(process: 42, run: run), .ranks(save), .started(step: 2)])
        #expect(tracker.observe(first) == [])
        (save.durable, save.failed, save.begun) = ([2], [3], [0, 1, 2])
        #expect(save.unfinished == [0, 1] && save.absent == [])
        let second = WatchSample(status: status(2, .capturing), names: [name(1)], ranks: save)
        #expect(tracker.observe(second) == [.ranks(save)])
        #expect(tracker.observe(.init(status: nil, names: [name(1), name(2)])).contains(.committed(name(2), nil)))
    }

    @Test("what a writer has mirrored is told once")
    func mirrored() {
        var mirrored = status(2, .idle)
        (mirrored.mirroredCount, mirrored.mirroredStep) = (1, 2)
        var tracker = WatchTracker(WatchSample(status: status(2, .idle), names: []))
        _ = tracker.observe(WatchSample(status: status(2, .idle), names: []))
        #expect(tracker.observe(WatchSample(status: mirrored, names: [])) == [.mirrored(step: 2)])
        #expect(tracker.observe(WatchSample(status: mirrored, names: [])).isEmpty)
        mirrored.mirroredCount = 2
        #expect(tracker.observe(WatchSample(status: mirrored, names: [])) == [.mirrored(step: 2)])
    }

    @Test("events make a record, and those of an earlier save do not spoil that of a later one")
    func events() {
        var status = SaveStatus(run: run)
        status.observe(.started(step: 5, id: CheckpointID(rawValue: 1)))
        status.observe(.progress(step: 5, writtenBytes: 10, totalBytes: 20))
        #expect(status.isSaving && status.written == 10)
        status.observe(.started(step: 6, id: CheckpointID(rawValue: 2)))
        status.observe(.progress(step: 5, writtenBytes: 20, totalBytes: 20))
        status.observe(.durable(step: 5))
        #expect(status.step == 6 && status.phase == .capturing && status.written == 0)
        status.observe(.mirrored(step: 5, newBytes: 1))
        #expect(status.mirroredCount == 1 && status.mirroredStep == 5 && status.step == 6)
        status.observe(.failed(step: 6, CheckpointError(.io, "x")))
        #expect(status.phase == .failed && status.failedCount == 1 && !status.isSaving)
    }

    @Test("a writer tells what it does, at most four times a second and at each commit, until it closes")
    func file() throws {
        let directory = try TemporaryDirectory()
        let tensors = TestTensors(sizes: [400_000])
        let store = try CheckpointStore.open(directory.path, for: .writing)
        let checkpointer = try Checkpointer(store: store, state: tensors, options: smallOptions())
        let reader = try CheckpointStore.open(directory.path)
        #expect(try reader.look().status?.process == Int(ProcessInfo.processInfo.processIdentifier))
        var seen: Set<[Int]> = []
        let began = ContinuousClock.now
        for step in 1...8 {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            let ticket = try checkpointer.save(step: step)
            for _ in 0..<10 {
                if let status = try reader.look().status { seen.insert([status.updated, status.step, status.written]) }
                sleepMilliseconds(5)
            }
            try ticket.wait()
        }
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        #expect(seen.count >= 2 && Double(seen.count) <= seconds * 4 + 2 + 8)
        // What the last one has cost is known at once.
        #expect(try eventually { try reader.look().status?.lastStep == 8 })
        try checkpointer.close()
        #expect(try reader.look().status == nil)
        #expect(try POSIXFileSystem().list(store.directories.staging).isEmpty)
    }

    @Test("what a killed writer leaves is gone when the next one opens the store")
    func leftOver() throws {
        let directory = try TemporaryDirectory()
        let store = try CheckpointStore.open(directory.path, for: .writing)
        var buffer = [UInt8](repeating: 0, count: SaveStatus.bytes)
        status(1, .capturing).encode(into: &buffer, digest: Hashing.digest)
        try POSIXFileSystem().createDurably(store.directories.staging.appending("\(run).status"), buffer)
        #expect(try store.look().status?.step == 1)
        try Recovery(files: store.files, catalog: store.catalog, warn: { _ in }).run()
        #expect(try store.look().status == nil)
    }
}

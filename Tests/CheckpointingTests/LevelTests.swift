@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

@Suite("Choice of a level", .timeLimit(.minutes(20)))
struct LevelTests {
    private let gigabyte = 1_000_000_000

    /// A chooser that has seen a save, and is asked for the next one `window` seconds later.
    private func chooser(
        sink: Double, window: Double, level: Compression = .fast, encode: Double = 6e9, ratio: Double = 1.2
    ) -> LevelChooser {
        var chooser = LevelChooser(workers: 2)
        chooser.called(at: 0)
        let stored = Int(Double(gigabyte) / ratio)
        chooser.observe(
            .init(
                level: level, rawBytes: gigabyte, storedBytes: stored, encodeSeconds: Double(gigabyte) / encode,
                writtenBytes: stored, writeSeconds: Double(stored) / sink))
        chooser.called(at: window)
        return chooser
    }

    @Test("nothing is measured at first")
    func first() {
        let choice = LevelChooser(workers: 2).choose(bytes: gigabyte)
        #expect(choice.level == .fast && choice.reason.contains("first"))
    }

    @Test("a long time between saves is used for the strongest level, whatever the disk", arguments: [0.1e9, 1e9, 8e9])
    func longWindow(sink: Double) {
        let choice = chooser(sink: sink, window: 60).choose(bytes: gigabyte)
        #expect(choice.level == .balanced && choice.reason.contains("60.00 s between saves"))
    }

    @Test("with no time to spare the quickest wins: none on a quick disk, the strongest on a slow one")
    func shortWindow() {
        #expect(chooser(sink: 16e9, window: 0.05).choose(bytes: gigabyte).level == .none)
        #expect(chooser(sink: 4.5e9, window: 0.05).choose(bytes: gigabyte).level == .fast)
        #expect(chooser(sink: 1e9, window: 0.05).choose(bytes: gigabyte).level == .balanced)
    }

    @Test("a busy processor makes encoding slow, and that is measured")
    func busyProcessor() {
        let choice = chooser(sink: 2e9, window: 1.2, encode: 0.4e9).choose(bytes: gigabyte)
        #expect(choice.level == .none)
        #expect(chooser(sink: 2e9, window: 1.2).choose(bytes: gigabyte).level == .balanced)
    }

    /// A chooser that has seen a save that blocked training, and is asked a minute later.
    private func blocked(_ level: Compression, for seconds: Double, ratio: Double, sink: Double = 2e9) -> LevelChooser {
        var chooser = LevelChooser(workers: 2)
        chooser.called(at: 0)
        let stored = Int(Double(gigabyte) / ratio)
        chooser.observe(
            .init(
                level: level, rawBytes: gigabyte, storedBytes: stored, encodeSeconds: 2,
                writtenBytes: stored, writeSeconds: Double(stored) / sink), blocked: seconds)
        chooser.called(at: 60)
        return chooser
    }

    @Test("a level that has blocked training is not chosen again, nor a stronger one")
    func blocksTraining() {
        let fast = blocked(.fast, for: 0.9, ratio: 1.3).choose(bytes: gigabyte)
        #expect(fast.level == .none && fast.reason.contains("fast has blocked training for 0.90 s"))
        #expect(blocked(.balanced, for: 0.9, ratio: 1.3).choose(bytes: gigabyte).level == .fast)
        #expect(blocked(.fast, for: 0.02, ratio: 1.3).choose(bytes: gigabyte).level == .balanced)
        // A slow disk blocks training without compression even longer.
        #expect(blocked(.fast, for: 0.9, ratio: 1.3, sink: 0.2e9).choose(bytes: gigabyte).level == .balanced)
    }

    @Test("compression that saves next to nothing is not chosen", arguments: [Compression.fast, .balanced])
    func savesLittle(level: Compression) {
        let choice = blocked(level, for: 0, ratio: 1.02).choose(bytes: gigabyte)
        #expect(choice.level == .none && choice.reason.contains("only 1.02 times smaller"))
        #expect(blocked(level, for: 0, ratio: 1.06).choose(bytes: gigabyte).level == .balanced)
    }

    @Test("what was rejected is tried again after a hundred saves")
    func triedAgain() {
        var chooser = blocked(.fast, for: 0.9, ratio: 1.3)
        var saves = 1
        while chooser.choose(bytes: gigabyte).level == .none, saves < 1000 {
            chooser.called(at: 60 * Double(saves + 1))
            saves += 1
        }
        #expect(saves == LevelChooser.rejectedSaves)
    }

    @Test("a save that wrote and encoded next to nothing teaches nothing")
    func tinySaves() {
        var chooser = LevelChooser(workers: 2)
        chooser.observe(.init(level: .fast, rawBytes: 1000, storedBytes: 900, encodeSeconds: 1, writtenBytes: 900, writeSeconds: 1))
        #expect(chooser.choose(bytes: gigabyte).reason.contains("first"))
    }

    /// Stored bytes of a first save: noise, with a tensor of equal elements in every 31, and eight such tensors at the end.
    /// The writer is slow: blocks that it waits for are left raw, and teach nothing.
    private func storedBytes(_ compression: Compression) throws -> Int {
        let block = 1 << 20
        let tensors = TestTensors(sizes: .init(repeating: block, count: 101))
        tensors.fillPattern(1)
        for tensor in Array(stride(from: 0, to: 93, by: 31)) + Array(93..<101) { tensors.fill(UInt64(tensor), tensor: tensor) }
        var options = smallOptions(workers: 2)
        (options.compression, options.chunkBytes, options.arenaBytes) = (compression, block, 8 * block)
        if compression == .auto { options.bytesPerSecond = 20 * block }
        let checkpointer = try Checkpointer(store: openStore(InMemoryFileSystem()), state: tensors, options: options)
        let ticket = try checkpointer.save(step: 1)
        try ticket.wait()
        try checkpointer.close()
        return try #require(ticket.report).storedBytes
    }

    @Test("the first save stops compressing once that has saved next to nothing; a level that was asked for is kept")
    func stopsTrying() throws {
        #expect(try storedBytes(.fast) < 91 << 20)
        #expect(try storedBytes(.auto) >= 98 << 20)
    }

    @Test("the first save compresses while a slow disk writes, and so takes no longer than without")
    func compressesMeanwhile() throws {
        let tensors = TestTensors(sizes: .init(repeating: 1 << 20, count: 32))
        for tensor in 0..<32 { tensors.fill(UInt64(tensor), tensor: tensor) }
        var options = smallOptions(workers: 2)
        (options.compression, options.chunkBytes, options.arenaBytes) = (.auto, 1 << 20, 8 << 20)
        options.bytesPerSecond = 40 << 20
        let checkpointer = try Checkpointer(store: openStore(InMemoryFileSystem()), state: tensors, options: options)
        let ticket = try checkpointer.save(step: 1)
        try ticket.wait()
        try checkpointer.close()
        #expect(try #require(ticket.report).storedBytes < 16 << 20)
    }

    @Test("the report says what was chosen, and why; what was asked for needs no reason")
    func report() throws {
        let tensors = TestTensors(sizes: [40_000])
        for compression in [Compression.auto, .balanced] {
            var options = smallOptions()
            options.compression = compression
            let checkpointer = try Checkpointer(store: openStore(InMemoryFileSystem()), state: tensors, options: options)
            let ticket = try checkpointer.save(step: 1)
            try ticket.wait()
            try checkpointer.close()
            #expect(ticket.report?.compression == (compression == .auto ? .fast : .balanced))
            #expect((ticket.report?.compressionReason == nil) == (compression != .auto))
            #expect(try checkpointer.store.verify().isWhole)
        }
    }
}

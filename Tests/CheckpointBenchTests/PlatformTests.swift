internal import CBaseline
internal import CheckpointCodecs
internal import CheckpointFormat
import CheckpointCodecs
import CheckpointIO
import Foundation
import SystemPackage
import Testing

@testable import CheckpointBench

/// What the benchmark asks of the machine.
@Suite(.timeLimit(.minutes(20))) struct PlatformTests {
    @Test func theStatusOfAProcessIsRead() {
        let status = "Name:\tckpt\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nVmRSSx:\t1 kB\n"
        #expect(ProcessStatus.bytes(of: "VmRSS", in: status) == 1 << 20)
        #expect(ProcessStatus.bytes(of: "VmHWM", in: status) == 2 << 20)
        #expect(ProcessStatus.bytes(of: "VmSwap", in: status) == nil)
        #expect(ProcessStatus.bytes(of: "VmRSS", in: "VmRSS: lots") == nil)
    }

    /// In a process of its own: the memory of other tests comes and goes.
    @Test(arguments: [true, false])
    func memoryThatIsGoneAgainIsInThePeak(_ usesMark: Bool) async {
        await #expect(processExitsWith: .success) { [usesMark] in
            let before = ProcessMemory.resident
            let peak = try PeakMemory(usesMark: usesMark)
            do {
                let state = try TrainingState(SyntheticState.gpt2.tensors(scale: 0.05), objects: [])
                #expect(state.byteCount > 64 << 20)
                // Long enough for a look at it.
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(peak.stop() - before > 32 << 20)
        }
    }

    @Test(arguments: [1, 2, 5])
    func aTeamRunsEveryThreadOnce(_ count: Int) throws {
        let team = try Team(count: count)
        let seen = Monitor<[Int]>([])
        for round in 1...50 {
            team.run { thread in seen.withLock { $0.append(thread) } }
            #expect(seen.withLock { $0.count } == round * count)
        }
        let all = seen.withLock { $0 }
        #expect((0..<count).allSatisfy { thread in all.count { $0 == thread } == 50 })
    }

    @Test(arguments: [1, 4096 * 3, 9 << 20, 33 << 20])
    func theReferenceWriterWritesTheState(_ bytes: Int) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("writer-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let tensor = TensorSpecification(name: "t", type: .u8, shape: [bytes], role: .other, group: "g")
        let memory = try TrainingState([tensor], objects: []).memory
        memory.fillWithPattern(seed: UInt64(bytes))
        let ring = try WriterRing()
        for (isCopied, overwrites) in [(true, false), (false, true), (true, true)] {
            #expect(try ring.write(memory, to: path, isCopied: isCopied, overwrites: overwrites) > 0)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(memory.array))
        }
        // A fresh file is not a file that is there.
        #expect(failure(of: ring, memory, path, isCopied: true, overwrites: false) == .fileExists)
    }

    @Test func theReferenceWriterTellsOfAFullDisk() throws {
        let memory = try TrainingState(
            [TensorSpecification(name: "t", type: .u8, shape: [20 << 20], role: .other, group: "g")], objects: []
        ).memory
        let ring = try WriterRing()
        for isCopied in [true, false] {
            #expect(failure(of: ring, memory, "/dev/full", isCopied: isCopied, overwrites: true) == .noSpace)
        }
    }

    private func failure(
        of ring: borrowing WriterRing, _ memory: MemoryRegion, _ path: String, isCopied: Bool, overwrites: Bool
    ) -> Errno? {
        do {
            _ = try ring.write(memory, to: path, isCopied: isCopied, overwrites: overwrites)
            return nil
        } catch { return error.errno }
    }
}

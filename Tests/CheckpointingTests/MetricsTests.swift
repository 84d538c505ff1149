import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import MetricsTestKit
import SystemPackage
import Testing

@Suite("Metrics", .timeLimit(.minutes(20)))
struct MetricsTests {
    private let memory = InMemoryFileSystem()
    private let metrics = TestMetrics()

    private func saves(_ outcome: String) throws -> Int64 {
        try metrics.expectCounter("ckpt_saves_total", [("outcome", outcome)]).totalValue
    }

    private func timer(_ label: String, _ dimension: (String, String)) throws -> [Int64] {
        try metrics.expectTimer(label, [dimension]).values
    }

    @Test("a committed save is counted once, whatever its number of blocks")
    func committed() throws {
        var options = smallOptions()
        options.metrics = metrics
        let tensors = TestTensors(sizes: [40_000])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        for step in 1...2 { try checkpointer.save(step: step).wait() }
        try checkpointer.close()
        #expect(try saves("committed") == 2)
        #expect(try saves("failed") == 0)
        #expect(try metrics.expectCounter("ckpt_logical_bytes_total").values == [40_000, 40_000])
        #expect(try metrics.expectCounter("ckpt_stored_bytes_total").totalValue >= 80_000)
        let until = try ["captured", "durable", "committed"].map { try timer("ckpt_save_duration", ("until", $0)) }
        for save in 0..<2 {
            #expect(until[0][save] > 0)
            #expect(until[0][save] <= until[1][save] && until[1][save] <= until[2][save])
        }
        for kind in ["submit", "fence", "backpressure"] { #expect(try timer("ckpt_stall_duration", ("kind", kind)).count == 2) }
        #expect(try metrics.expectGauge("ckpt_saves_in_flight").values == [1, 0, 1, 0])
        #expect(try metrics.expectGauge("ckpt_arena_high_water_bytes").values.allSatisfy { (4096...4 * 4096).contains(Int($0)) })
    }

    @Test("saves that are not committed are counted by why")
    func outcomes() throws {
        let (gate, isBroken) = (Gate(isOpen: true), Box(false))
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            try gate.holdWrite(operation)
            if isBroken.value, operation.verb == "sync" { throw FileSystemError("fsync(2)", operation.path, .ioError) }
        }
        var options = smallOptions()
        options.metrics = metrics
        options.backpressure = .skip
        let checkpointer = try Checkpointer(store: openStore(disk), state: TestTensors(sizes: [40_000]), options: options)
        (gate.isOpen, isBroken.value) = (false, true)
        let cancelled = try checkpointer.save(step: 1)
        #expect(try checkpointer.save(step: 2).failure?.code == .skipped)
        cancelled.cancel()
        gate.isOpen = true
        #expect(throws: CheckpointError.self) { try cancelled.wait() }
        #expect(try checkpointer.save(step: 3).failure?.code != .skipped)
        #expect(throws: CheckpointError.self) { try checkpointer.close() }
        #expect(try saves("cancelled") == 1)
        #expect(try saves("skipped") == 1)
        #expect(try saves("failed") == 1)
        #expect(try saves("committed") == 0)
        #expect(try metrics.expectGauge("ckpt_saves_in_flight").values == [1, 0, 1, 0])
    }
}

@testable import Checkpointing
import CheckpointingTestSupport
@testable import CheckpointStorage
import CheckpointTestSupport
import Testing

@Suite("Save tickets", .timeLimit(.minutes(20)))
struct TicketTests {
    private func ticket() -> SaveTicket { SaveTicket(step: 3, earlierFailure: nil) { _ in } }

    @Test("tasks wait for captured, durable and committed, and get the report")
    func value() async throws {
        let tensors = TestTensors(sizes: [20_000])
        let checkpointer = try Checkpointer(
            store: openStore(InMemoryFileSystem()), state: tensors, options: smallOptions())
        let ticket = try checkpointer.save(step: 1)
        try await ticket.reached(.captured)
        try await ticket.reached(.durable)
        let report = try await ticket.value()
        #expect(report.step == 1 && report.id == ticket.id)
        // A wait for what has happened already ends at once.
        try await ticket.reached(.submitted)
        try checkpointer.close()
    }

    @Test("many tasks wait at once, without a thread each, and each wakes at its own goal")
    func many() async throws {
        let ticket = ticket()
        try await withThrowingTaskGroup(of: Void.self) { group in
            // More than the cooperative pool has threads: if a wait blocked one, none would be
            // left for the tasks below.
            for _ in 0..<200 { group.addTask { try await ticket.reached(.durable) } }
            group.addTask { try await ticket.reached(.captured) }
            group.addTask {
                ticket.advance(to: .captured)
                try await ticket.reached(.captured)
                ticket.advance(to: .durable)
            }
            try await group.waitForAll()
        }
        #expect(ticket.progress == .durable)
    }

    @Test("a failure ends every wait, those that come later too")
    func failure() async throws {
        let ticket = ticket()
        let waiting = Task { try await ticket.value() }
        ticket.fail(CheckpointError(.noSpace, "the disk is full"))
        for task in [waiting, Task { try await ticket.value() }] {
            let error = await #expect(throws: CheckpointError.self) { try await task.value }
            #expect(error?.code == .noSpace)
        }
    }

    @Test("cancelling a task ends its wait, not the save")
    func cancellation() async throws {
        let ticket = ticket()
        let waiting = Task { try await ticket.reached(.committed) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(ticket.failure == nil)
        ticket.advance(to: .durable)
        try await ticket.reached(.durable)
    }
}

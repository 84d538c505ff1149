internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage

/// The observers of a checkpointer's saves: log, metrics, ticket, sticky failure, event streams and
/// status file. The one place where an event reaches all of them.
///
/// Any thread; no lock of the engine is held by the caller.
final class SaveObservers: Sendable {
    let streams = EventPublisher()
    let failure = StickyFailure()
    private let onEvent: (@Sendable (CheckpointEvent) -> Void)?
    private let journal: SaveJournal
    private let metrics: SaveMetrics
    /// Nil if no other process can read it, and on ranks after the first.
    private let status: StatusFile?
    private let stall: Monitor<StallReport>

    init(
        _ options: CheckpointerOptions, store: CheckpointStore, restart: RunID,
        stall: Monitor<StallReport>
    ) {
        onEvent = options.onEvent
        journal = SaveJournal(logger: options.logger)
        metrics = SaveMetrics(options.metrics)
        let isWriter = store.meeting?.ranks.rank ?? 0 == 0
        status =
            store.catalog.isInStore && isWriter
            ? StatusFile(store.directories, run: restart) : nil
        self.stall = stall
    }

    /// Passes an event to every observer. The log comes before the ticket, so that a thread that
    /// waits for the ticket finds the line written; event streams come last.
    func notify(_ event: SaveEvent) {
        assert(HeldLocks.ranks.isEmpty, "an observer may call back")
        switch event {
        case .started(let task):
            journal.started(task)
            metrics.started(task.ticket.id)
        case .progress: break
        case .captured(let task):
            journal.captured(task)
            task.ticket.advance(to: .captured)
        case .durable(let task):
            journal.durable(task)
            task.ticket.advance(to: .durable)
        case .committed(let ticket, let report):
            journal.committed(report)
            metrics.committed(report)
            ticket.commit(report)
        case .mirrored(let step, let bytes): journal.mirrored(step: step, bytes: bytes)
        case .failed(let ticket, let error):
            failure.record(error)
            journal.failed(ticket, error)
            metrics.failed(ticket.id, error)
            ticket.fail(error)
        case .warning(let message): journal.warning(message)
        }
        publish(event.published)
    }

    /// Writes a line to the log only.
    func note(_ message: String) { journal.note(message) }

    func warn(_ message: String) { notify(.warning(message)) }

    private func publish(_ event: CheckpointEvent) {
        onEvent?(event)
        streams.publish(event)
        status?.observe(event) { stall.withLock { $0 } }
    }

    /// The saves that follow belong to another restart. No save is in flight.
    func begins(restart: RunID) { status?.begins(restart: restart) }

    /// Removes the status file. Streams stay open.
    func endStatus() { status?.close() }
}

internal import CCheckpoint
internal import CheckpointIO
internal import Checkpointing

/// The events of a checkpointer that have not been fetched yet.
final class EventQueue: Sendable {
    /// The result of a wait for an event.
    enum Outcome {
        case event(CheckpointEvent)
        case closed
    }

    private struct State {
        var events: [CheckpointEvent] = []
        var isClosed = false
    }

    private static let eventsMax = 1024
    private let state = Monitor(State(), rank: .unchecked)

    /// Adds an event; progress replaces earlier progress that is last in the queue.
    func add(_ event: CheckpointEvent) {
        state.withLock { state in
            if case .progress = event, case .progress = state.events.last {
                state.events.removeLast()
            }
            if state.events.count == Self.eventsMax { state.events.removeFirst() }
            state.events.append(event)
        }
    }

    /// Ends all waits, now and in future, when the queue is empty.
    func close() { state.withLock { $0.isClosed = true } }

    /// Waits for an event.
    ///
    /// - Returns: nil after the timeout.
    func next(timeout: Duration) -> Outcome? {
        state.waitFor(timeout: timeout) { state -> Outcome? in
            if !state.events.isEmpty { return .event(state.events.removeFirst()) }
            return state.isClosed ? .closed : nil
        }
    }
}

extension CheckpointEvent {
    /// The event as a structure of checkpoint.h.
    var structure: ckpt_event {
        var event = ckpt_event()
        event.step = -1
        switch self {
        case .started(let step, _):
            (event.kind, event.step) = (UInt32(CKPT_EVENT_STARTED), Int64(step))
        case .progress(let step, let written, let total):
            (event.kind, event.step) = (UInt32(CKPT_EVENT_PROGRESS), Int64(step))
            (event.done_bytes, event.total_bytes) = (
                UInt64(clamping: written), UInt64(clamping: total)
            )
        case .captured(let step):
            (event.kind, event.step) = (UInt32(CKPT_EVENT_CAPTURED), Int64(step))
        case .durable(let step):
            (event.kind, event.step) = (UInt32(CKPT_EVENT_DURABLE), Int64(step))
        case .committed(let report):
            (event.kind, event.step) = (UInt32(CKPT_EVENT_COMMITTED), Int64(report.step))
        case .mirrored(let step, let bytes):
            (event.kind, event.step) = (UInt32(CKPT_EVENT_MIRRORED), Int64(step))
            event.total_bytes = UInt64(clamping: bytes)
        case .failed(let step, let error):
            (event.kind, event.step) = (UInt32(CKPT_EVENT_FAILED), Int64(step))
            event.failure = error.code.status
            CallerMemory.put(error.description, in: &event.message)
        case .warning(let text):
            event.kind = UInt32(CKPT_EVENT_WARNING)
            CallerMemory.put(text, in: &event.message)
        }
        return event
    }
}

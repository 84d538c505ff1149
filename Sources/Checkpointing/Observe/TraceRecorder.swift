internal import CheckpointStorage
internal import CheckpointIO

/// Records what threads do when, for a trace file (Formats/trace.md). The newest spans are kept, in memory allocated at the start.
final class TraceRecorder: Sendable {
    /// Something that a thread has done. Of fixed size: recording allocates nothing.
    struct Span: Sendable {
        var name: StaticString
        /// Which thread.
        var lane: Int
        var began, ended: ContinuousClock.Instant
        var detail: Detail
    }

    /// What a span is about, as far as it is about it.
    struct Detail: Sendable {
        var step: Int?
        var block: Int?
        /// Bytes of the state, before encoding.
        var bytes: Int?
    }

    private struct State {
        var lanes = ["trainer"]
        var spans: [Span]
        /// Spans ever recorded; the next one's place is this, modulo the room there is.
        var count = 0
    }

    let started = ContinuousClock.now
    private let state: Monitor<State>

    /// - Parameter spansMax: spans kept.
    init(spansMax: Int) {
        precondition(spansMax > 0)
        let empty = Span(name: "", lane: 0, began: started, ended: started, detail: Detail())
        state = Monitor(State(spans: Array(repeating: empty, count: spansMax)))
    }

    /// The lane of the thread that calls the checkpointer.
    var trainer: TraceLane { TraceLane(recorder: self, number: 0) }

    /// A lane for another thread.
    func lane(named name: String) -> TraceLane {
        let number = state.withLock { state in
            state.lanes.append(name)
            return state.lanes.count - 1
        }
        return TraceLane(recorder: self, number: number)
    }

    func record(_ span: Span) {
        state.withLock { state in
            state.spans[state.count % state.spans.count] = span
            state.count += 1
        }
    }

    /// What is kept, in the order in which spans ended, and how many spans were dropped for newer ones.
    func contents() -> (lanes: [String], spans: [Span], dropped: Int) {
        state.withLock { state in
            let kept = min(state.count, state.spans.count)
            let oldest = state.count - kept
            // Copied element by element: an array that is shared would be copied by the next recording.
            let spans = (oldest..<state.count).map { state.spans[$0 % state.spans.count] }
            return (state.lanes, spans, oldest)
        }
    }
}

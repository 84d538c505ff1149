internal import CheckpointIO
internal import CheckpointStorage

/// Records spans of the threads' work, for a trace file (Formats/trace.md). The newest spans are
/// kept, in memory allocated at the start.
///
/// Any thread; its lock is held for one span.
final class TraceRecorder: Sendable {
    /// A span of work of a thread. Of fixed size, so that recording allocates nothing.
    struct Span: Sendable {
        var name: StaticString
        /// Number of the thread.
        var track: Int
        var began, ended: ContinuousClock.Instant
        var detail: Detail
    }

    /// Subject of a span; nil where not applicable.
    struct Detail: Sendable {
        var step: Int?
        var block: Int?
        /// Bytes of the state, before encoding.
        var bytes: Int?
    }

    private struct State {
        var tracks = ["trainer"]
        var spans: [Span]
        /// Number of spans ever recorded; modulo the capacity, the index of the next one.
        var count = 0
    }

    let started = ContinuousClock.now
    private let state: Monitor<State>

    /// Allocates the memory.
    ///
    /// - Parameter spansMax: maximum number of spans to keep.
    init(spansMax: Int) {
        precondition(spansMax > 0)
        let empty = Span(name: "", track: 0, began: started, ended: started, detail: Detail())
        state = Monitor(State(spans: Array(repeating: empty, count: spansMax)))
    }

    /// The track of the thread that calls the checkpointer.
    var trainer: TraceTrack { TraceTrack(recorder: self, number: 0) }

    /// Returns a track for another thread.
    func track(named name: String) -> TraceTrack {
        let number = state.withLock { state in
            state.tracks.append(name)
            return state.tracks.count - 1
        }
        return TraceTrack(recorder: self, number: number)
    }

    func record(_ span: Span) {
        state.withLock { state in
            state.spans[state.count % state.spans.count] = span
            state.count += 1
        }
    }

    /// Returns the recorded spans in the order in which they ended, and the number of older ones
    /// that were dropped.
    func contents() -> (tracks: [String], spans: [Span], dropped: Int) {
        state.withLock { state in
            let kept = min(state.count, state.spans.count)
            let oldest = state.count - kept
            // Copied element by element: if the array were shared, the next recording would copy
            // all of it.
            let spans = (oldest..<state.count).map { state.spans[$0 % state.spans.count] }
            return (state.tracks, spans, oldest)
        }
    }
}

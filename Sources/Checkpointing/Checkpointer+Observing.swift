internal import CheckpointStorage
internal import Foundation

extension Checkpointer {
    /// Returns a stream of events, from now on until the checkpointer closes.
    ///
    /// Any number of listeners may each have a stream. A listener that falls more than 1,024 events
    /// behind loses the oldest ones, of any kind; the engine does not wait for it. Any thread.
    ///
    /// - Returns: the stream; it ends when the checkpointer is closed.
    public func events() -> AsyncStream<CheckpointEvent> { observers.streams.subscribe() }

    /// Runs `body`, and records it as a span of the trainer's track if `options.tracePath` is set.
    /// Call it on the trainer's thread.
    ///
    /// - Parameters:
    ///   - name: name of the span, such as "forward".
    ///   - body: the work; runs on the calling thread, also if nothing is recorded.
    /// - Returns: the result of `body`.
    /// - Throws: the error of `body`; the span is recorded all the same.
    public func trace<R, E: Error>(_ name: StaticString, _ body: () throws(E) -> R) throws(E) -> R {
        let began = trainer.begin()
        defer { trainer.end(name, since: began) }
        return try body()
    }

    /// Writes the spans recorded so far to `path`, and replaces an existing file
    /// (Formats/trace.md). Any thread, also while saves are in flight.
    ///
    /// - Parameter path: the file; its directory must exist.
    /// - Throws: codes `misuse` if `options.tracePath` is not set, `io`.
    public func writeTrace(to path: String) throws(CheckpointError) {
        guard let trace else {
            throw CheckpointError(
                .misuse, "no trace is recorded, so none can be written to \(path)",
                remedy: "Set options.tracePath")
        }
        do {
            try Data(file(trace).text).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw CheckpointError(
                .io, "the trace could not be written to \(path): \(error)", path: path)
        }
    }

    /// At the end: a trace that cannot be written must not fail the run.
    func writeTrace() {
        guard let path = options.tracePath else { return }
        do throws(CheckpointError) {
            try writeTrace(to: path)
        } catch {
            observers.warn("\(error)")
        }
    }

    private func file(_ trace: TraceRecorder) -> TraceFile {
        let (tracks, spans, dropped) = trace.contents()
        return TraceFile(
            processID: Int(ProcessInfo.processInfo.processIdentifier), processName: runName,
            run: run, tracks: tracks, spans: spans, droppedSpans: dropped, origin: trace.started)
    }
}

internal import CheckpointFormat
internal import CheckpointStorage

/// Text of a trace file (Formats/trace.md).
struct TraceFile {
    var processID: Int
    var processName: String
    var run: RunID
    /// Names of the threads.
    var tracks: [String]
    var spans: [TraceRecorder.Span]
    var droppedSpans: Int
    /// Zero of the file's clock.
    var origin: ContinuousClock.Instant

    /// The file's content: JSON, one event per line.
    var text: [UInt8] {
        var text = Array("{\"displayTimeUnit\":\"ms\",\"otherData\":".utf8) + otherData.text
        text += Array(",\"traceEvents\":[\n".utf8) + process.text
        for (track, thread) in tracks.enumerated() { text += separator + name("thread_name", thread, track: track).text }
        for span in spans { text += separator + event(span).text }
        return text + Array("\n]}\n".utf8)
    }

    private let separator = Array(",\n".utf8)

    private var otherData: JSONValue {
        .object([
            .init("writer", .string(LibraryVersion.writer)), .init("run", .hex(run)), .init("dropped_spans", .count(droppedSpans)),
        ])
    }

    /// Thread numbers start at 1: viewers show thread 0 as the idle thread.
    private func thread(_ track: Int) -> Int { track + 1 }

    private var process: JSONValue { name("process_name", processName, track: 0) }

    private func name(_ kind: String, _ name: String, track: Int) -> JSONValue {
        .object([
            .init("name", .string(kind)), .init("ph", .string("M")), .init("pid", .count(processID)), .init("tid", .count(thread(track))),
            .init("args", .object([.init("name", .string(name))])),
        ])
    }

    private func event(_ span: TraceRecorder.Span) -> JSONValue {
        .object([
            .init("name", .string(span.name.description)), .init("ph", .string("X")), .init("pid", .count(processID)),
            .init("tid", .count(thread(span.track))), .init("ts", .number(microseconds(span.began - origin))),
            .init("dur", .number(microseconds(span.ended - span.began))), .init("args", .object(arguments(span.detail))),
        ])
    }

    private func arguments(_ detail: TraceRecorder.Detail) -> [JSONValue.Member] {
        let all = [("step", detail.step), ("block", detail.block), ("bytes", detail.bytes)]
        return all.compactMap { name, value in value.map { .init(name, .count($0)) } }
    }

    private func microseconds(_ duration: Duration) -> Double { duration / .nanoseconds(1) / 1000 }
}

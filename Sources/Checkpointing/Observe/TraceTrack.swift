internal import CheckpointStorage

/// The trace of one thread. Without a recorder it records nothing, at no cost.
struct TraceTrack: Sendable {
    static let none = TraceTrack(recorder: nil, number: 0)

    let recorder: TraceRecorder?
    let number: Int

    /// Returns the start time of a span; nil if nothing is recorded.
    func begin() -> ContinuousClock.Instant? { recorder == nil ? nil : .now }

    func end(_ name: StaticString, since began: ContinuousClock.Instant?, step: Int? = nil, block: Int? = nil, bytes: Int? = nil) {
        guard let recorder, let began else { return }
        let detail = TraceRecorder.Detail(step: step, block: block, bytes: bytes)
        recorder.record(TraceRecorder.Span(name: name, track: number, began: began, ended: .now, detail: detail))
    }
}

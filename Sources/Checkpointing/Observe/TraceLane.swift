internal import CheckpointStorage

/// Recorder for the spans of one thread; records nothing, at no cost, without a `TraceRecorder`.
struct TraceLane: Sendable {
    static let none = TraceLane(recorder: nil, number: 0)

    let recorder: TraceRecorder?
    let number: Int

    /// Returns the start time of a span; nil if nothing is recorded.
    func begin() -> ContinuousClock.Instant? { recorder == nil ? nil : .now }

    func end(_ name: StaticString, since began: ContinuousClock.Instant?, step: Int? = nil, block: Int? = nil, bytes: Int? = nil) {
        guard let recorder, let began else { return }
        let detail = TraceRecorder.Detail(step: step, block: block, bytes: bytes)
        recorder.record(TraceRecorder.Span(name: name, lane: number, began: began, ended: .now, detail: detail))
    }
}

extension TraceLane {
    /// Records a span of work on one block.
    func end(
        _ name: StaticString, _ job: PipelineStateMachine.Job, _ operation: SaveOperation, since began: ContinuousClock.Instant?
    ) {
        guard began != nil else { return }
        end(name, since: began, step: operation.ticket.step, block: job.block, bytes: operation.plan.blocks[job.block].bytes)
    }

    /// Records an executed action; a capture was recorded before.
    func end(_ action: PipelineStateMachine.Action, _ operation: SaveOperation, since began: ContinuousClock.Instant?) {
        let step = operation.ticket.step
        switch action {
        case .encode(let job): end("encode", job, operation, since: began)
        case .write(let job): end("write", job, operation, since: began)
        case .encodeObjects: end("objects", since: began, step: step)
        case .commit: end("commit", since: began, step: step)
        case .abandon: end("abandon", since: began, step: step)
        case .capture, .stop: break
        }
    }
}

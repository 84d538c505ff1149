extension TraceTrack {
    /// Records what has been done to one block.
    func end(
        _ name: StaticString, _ job: PipelineStateMachine.Job, _ task: SaveTask, since began: ContinuousClock.Instant?
    ) {
        guard began != nil else { return }
        end(name, since: began, step: task.ticket.step, block: job.block.rawValue,
            bytes: task.plan[block: job.block].bytes)
    }

    /// Records an action that has been carried out; a capture has been recorded already.
    func end(_ action: PipelineStateMachine.Action, _ task: SaveTask, since began: ContinuousClock.Instant?) {
        let step = task.ticket.step
        switch action {
        case .encode(let encode): end("encode", encode.job, task, since: began)
        case .write(let write): end("write", write.job, task, since: began)
        case .encodeObjects: end("objects", since: began, step: step)
        case .commit: end("commit", since: began, step: step)
        case .abandon: end("abandon", since: began, step: step)
        case .capture, .reportCapture, .touch, .stop: break
        }
    }
}

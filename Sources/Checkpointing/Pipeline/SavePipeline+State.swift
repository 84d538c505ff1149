extension SavePipeline {
    /// The saves in flight, under the pipeline's lock.
    struct State {
        /// A save in flight.
        struct Save {
            let flight: FlightID
            let task: SaveTask
            var progress: SaveProgress
            var failure: CheckpointError?

            /// Returns whether to leave a block raw although the save compresses. At a level that
            /// the engine has chosen, training does not wait for encoding, nor the writer while no
            /// speed is known; and a level that turns out to be useless is given up.
            func isLeftRaw(_ action: PipelineStateMachine.Action) -> Bool {
                guard case .encode(let encode) = action, let choice = task.output.choice else {
                    return false
                }
                let waiting = encode.waiting
                return waiting.isWriter && (waiting.isTraining || choice.isTrial)
                    || progress.observation.isUseless
            }
        }

        var machine: PipelineStateMachine
        /// Saves in flight, oldest first.
        var saves: [Save] = []
        var arena: StagingArena
        /// When training will change the state that is being captured.
        var forecast = CaptureForecast()
        /// Removals of old checkpoints that follow saves that have ended.
        var removals = 0

        /// True if no save is in flight, and none of the store's checkpoints is being removed.
        var isIdle: Bool { machine.isIdle && removals == 0 }

        /// Returns whether workers should capture before they encode.
        func isLate(at now: ContinuousClock.Instant) -> Bool {
            forecast.isLate(blocks: machine.uncapturedCount, at: now)
        }

        func index(of flight: FlightID) -> Int {
            guard let index = saves.firstIndex(where: { $0.flight == flight }) else {
                preconditionFailure("no \(flight)")
            }
            return index
        }

        subscript(flight: FlightID) -> Save {
            _read { yield saves[index(of: flight)] }
            _modify { yield &saves[index(of: flight)] }
        }
    }
}

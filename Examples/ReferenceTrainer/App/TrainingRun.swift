internal import Checkpointing
internal import ReferenceModel
internal import Synchronization

/// The complete state of a training run, and its description for the engine.
///
/// Weights and moments stay in the tensors' own memory, which is lent to the engine. Everything
/// else is plain values.
final class TrainingRun {
    /// State that must be restored in addition to the tensors for the next step to be
    /// bit-identical.
    struct Progress: Sendable {
        var step = 0
        var random: RandomGenerator
        var cursor: DataCursor
        var schedule: LearningRateSchedule
        var configuration: ModelConfiguration
    }

    let model: GPT
    let optimizer: AdamW
    /// Rounding of the weights to bf16; nil if the weights are f32.
    private let mixed: MixedPrecision?
    let text: [UInt8]
    let batch: Int
    /// The other processes; nil if this one trains alone.
    private let parallel: DataParallel?
    /// Whether training ends with the step in which SIGTERM arrives.
    private let stopsOnTerm: Bool
    private let progress: Shared<Progress>

    init(
        configuration: ModelConfiguration, text: [UInt8], batch: Int, steps: Int, seed: UInt64,
        isMixed: Bool, parallel: DataParallel? = nil, stopsOnTerm: Bool = false
    ) {
        (self.parallel, self.stopsOnTerm) = (parallel, stopsOnTerm)
        var random = RandomGenerator(seed: seed)
        model = GPT(configuration: configuration, random: &random)
        mixed = isMixed ? MixedPrecision(model: model) : nil
        let parameters = model.parameters
        let rows = parallel.map { parallel in
            parameters.map { parallel.rows(of: $0, rank: parallel.mpi.rank) }
        }
        optimizer = AdamW(model: model, mixed: mixed, rows: rows)
        self.text = text
        self.batch = batch
        let schedule = LearningRateSchedule(
            peak: 1e-3, floor: 1e-4, warmupSteps: 20, totalSteps: steps)
        progress = Shared(
            Progress(
                random: random, cursor: DataCursor(seed: seed), schedule: schedule,
                configuration: configuration))
    }

    var step: Int { progress.value.step }

    /// Runs one step: forward and backward with the state unchanged, then the update, group by
    /// group, each under its mutation permit.
    ///
    /// - Parameter checkpointer: grants the permits, and records the trace.
    /// - Returns: the training loss before the update, and whether training ends here.
    /// - Throws: the error of the process group.
    func advance(_ checkpointer: Checkpointer) throws -> StepOutcome {
        var next = progress.value
        let batchOfText = next.cursor.nextBatch(
            from: text, batch: batch, context: model.configuration.context)
        let outcome: StepOutcome
        if let parallel {
            outcome = try lossAndGradients(batchOfText, &next.random, parallel, checkpointer)
        } else {
            let loss = model.lossAndGradients(
                inputs: batchOfText.inputs, targets: batchOfText.targets, batch: batch,
                random: &next.random, phase: { checkpointer.trace($0, $1) })
            outcome = StepOutcome(loss: loss, isLast: isToldToStop(checkpointer))
        }
        optimizer.clipGradients(maxNorm: 1)
        let rate = next.schedule.rate(at: next.step)
        optimizer.beginStep()
        for group in optimizer.groups {
            try checkpointer.mutate(group) {
                checkpointer.trace("update") {
                    optimizer.update(group: group, learningRate: rate)
                }
                let updated = model.parameters.indices.filter {
                    model.parameterGroup(of: $0) == group
                }
                try parallel?.complete(updated.map { model.parameters[$0] })
            }
        }
        next.step += 1
        progress.value = next
        return outcome
    }

    /// Computes this process's part of a batch, and the mean over all processes. A signal to one of
    /// them goes the same way, so that all end after the same step.
    ///
    /// All processes have the same generator. Each derives one for its dropout from the next number
    /// and its rank, so a checkpoint holds one generator, whatever the number of processes.
    private func lossAndGradients(
        _ whole: Batch, _ random: inout RandomGenerator, _ parallel: DataParallel,
        _ checkpointer: Checkpointer
    ) throws -> StepOutcome {
        let (rank, share) = (parallel.mpi.rank, batch / parallel.mpi.worldSize)
        let part = rank * share * model.configuration.context
        let range = part..<part + share * model.configuration.context
        var own = RandomGenerator(seed: random.next() &+ UInt64(rank))
        let loss = model.lossAndGradients(
            inputs: Array(whole.inputs[range]), targets: Array(whole.targets[range]), batch: share,
            random: &own, phase: { checkpointer.trace($0, $1) })
        return try parallel.average(
            model.gradients, StepOutcome(loss: loss, isLast: isToldToStop(checkpointer)))
    }

    private func isToldToStop(_ checkpointer: Checkpointer) -> Bool {
        stopsOnTerm && checkpointer.isTerminating
    }

    /// Adjusts values that are derived from the restored state: the optimizer's own step count, and
    /// the float32 copies of the weights that the model computes with. Of several processes, each has
    /// restored its rows of the weights.
    ///
    /// - Throws: the error of the process group.
    func adoptRestored() throws {
        try parallel?.complete(model.parameters)
        optimizer.step = progress.value.step
        mixed?.expand()
    }

    private var weights: [TensorView] { mixed?.weights.map(\.view) ?? model.parameters.map(\.view) }

    /// Describes a tensor; of several processes, the rows of it that this one owns.
    ///
    /// - Parameters:
    ///   - view: its memory, or that of those rows.
    ///   - index: index of the parameter that it belongs to.
    private func state(
        _ name: String, _ view: TensorView, _ role: TensorRole, of index: Int
    ) throws -> TensorState {
        let (parameter, group) = (model.parameters[index], model.parameterGroup(of: index))
        guard let parallel else { return TensorState(name, view, role: role, group: group) }
        let rows = parallel.rows(of: parameter, rank: parallel.mpi.rank)
        let rest = Array(parameter.shape.dropFirst())
        let shard = try TensorShard(
            offset: [rows.lowerBound] + rest.map { _ in 0 }, extent: [rows.count] + rest,
            of: parameter.shape)
        let own = view.shape == parameter.shape ? parameter.view(rows: rows) : view
        return TensorState(name, own, of: shard, role: role, group: group)
    }

    /// Description of the state for the engine.
    ///
    /// - Throws: `ShardingError` if a parameter cannot be divided.
    func state() throws -> CompositeState {
        let (progress, weights, count) = (progress, weights, model.parameters.count)
        let moments = optimizer.firstMoments + optimizer.secondMoments
        return try CompositeState {
            CompositeState(
                "model",
                children: try model.parameters.indices.map { index in
                    try state(model.parameters[index].name, weights[index], .parameter, of: index)
                })
            CompositeState(
                "master",
                children: (mixed?.masters ?? []).enumerated().map { index, master in
                    TensorState(
                        master.name, master.view, role: .optimizer,
                        group: model.parameterGroup(of: index))
                })
            CompositeState(
                "optimizer",
                children: try moments.enumerated().map { index, tensor in
                    let name = String(tensor.name.dropFirst("optimizer.".count))
                    return try state(name, tensor.view, .optimizer, of: index % count)
                })
            ObjectState(
                "optimizer.step", role: .optimizer, get: { progress.value.step },
                set: { progress.value.step = $0 })
            ObjectState(
                "rng", role: .rng, get: { progress.value.random },
                set: { progress.value.random = $0 })
            ObjectState(
                "cursor", role: .data, get: { progress.value.cursor },
                set: { progress.value.cursor = $0 })
            ObjectState(
                "schedule", role: .schedule, get: { progress.value.schedule },
                set: { progress.value.schedule = $0 })
            ObjectState(
                "configuration", role: .config, get: { progress.value.configuration },
                set: {
                    precondition(
                        $0 == progress.value.configuration,
                        "the checkpoint was saved by another model configuration")
                })
        }
    }

    /// Returns a number that differs between different states of the tensors, except by accident,
    /// and is the same for any number of processes. It is computed from the live memory, by all
    /// processes together.
    ///
    /// - Throws: the error of the process group.
    func digest() throws -> String {
        let moments = [optimizer.firstMoments, optimizer.secondMoments]
        var hashes = (model.parameters + (mixed?.masters ?? [])).map(\.fingerprint)
        hashes += try moments.flatMap { moments in
            try parallel?.fingerprints(ofRows: moments, model.parameters)
                ?? moments.map(\.fingerprint)
        }
        let value = hashes.reduce(0xcbf2_9ce4_8422_2325) { $0 &* 31 &+ $1 }
        return String(value, radix: 16)
    }
}

/// A value that the trainer's thread changes and the engine's closures read.
final class Shared<Value: Sendable>: Sendable {
    private let storage: Mutex<Value>

    init(_ value: Value) { storage = Mutex(value) }

    var value: Value {
        get { storage.withLock { $0 } }
        set { storage.withLock { $0 = newValue } }
    }
}

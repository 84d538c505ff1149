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
    /// The processes of all replicas of the model; nil if this one trains alone.
    private let parallel: DataParallel?
    /// Whether training ends with the step in which SIGTERM arrives.
    private let stopsOnTerm: Bool
    private let progress: Shared<Progress>

    init(
        configuration: ModelConfiguration, text: [UInt8], batch: Int, steps: Int, seed: UInt64,
        isMixed: Bool, processes: ProcessMesh? = nil, stopsOnTerm: Bool = false
    ) {
        let parallel = processes.map { DataParallel(processes: $0) }
        (self.parallel, self.stopsOnTerm) = (parallel, stopsOnTerm)
        var random = RandomGenerator(seed: seed)
        model = GPT(
            configuration: configuration, random: &random,
            group: processes.map { TensorParallel(processes: $0) } ?? SingleProcess())
        mixed = isMixed ? MixedPrecision(model: model) : nil
        let parameters = model.parameters
        let rows = parallel.map { parameters.map($0.rows(of:)) }
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
            let loss = try model.lossAndGradients(
                inputs: batchOfText.inputs, targets: batchOfText.targets, batch: batch,
                random: &next.random, phase: { try checkpointer.trace($0, $1) })
            outcome = StepOutcome(loss: loss, isLast: isToldToStop(checkpointer))
        }
        optimizer.clipGradients(
            maxNorm: 1,
            sumsOfSquares: try model.sumOverParts(optimizer.gradientSumsOfSquares))
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

    /// Computes a replica's part of a batch, and the mean over all replicas. A signal to one of the
    /// processes goes the same way, so that all end after the same step.
    ///
    /// All processes have the same generator, so a checkpoint holds one, whatever their number. Of
    /// several replicas, each derives one for its dropout from the next number and its own. The
    /// processes of a replica must drop the same values.
    private func lossAndGradients(
        _ whole: Batch, _ random: inout RandomGenerator, _ parallel: DataParallel,
        _ checkpointer: Checkpointer
    ) throws -> StepOutcome {
        let share = batch / parallel.count
        let part = parallel.index * share * model.configuration.context
        let range = part..<part + share * model.configuration.context
        func partialLoss(_ random: inout RandomGenerator) throws -> Float {
            try model.lossAndGradients(
                inputs: Array(whole.inputs[range]), targets: Array(whole.targets[range]),
                batch: share, random: &random, phase: { try checkpointer.trace($0, $1) })
        }
        let loss: Float
        if parallel.count > 1 {
            var own = RandomGenerator(seed: random.next() &+ UInt64(parallel.index))
            loss = try partialLoss(&own)
        } else {
            // As a process does that trains alone.
            loss = try partialLoss(&random)
        }
        return try parallel.average(
            model.gradients, StepOutcome(loss: loss, isLast: isToldToStop(checkpointer)))
    }

    private func isToldToStop(_ checkpointer: Checkpointer) -> Bool {
        stopsOnTerm && checkpointer.isTerminating
    }

    /// Adjusts values that are derived from the restored state: the optimizer's own step count, and
    /// the float32 copies of the weights that the model computes with. Of several processes, each
    /// has restored its rows of its parts of the weights.
    ///
    /// - Throws: the error of the process group.
    func adoptRestored() throws {
        try parallel?.complete(model.parameters)
        optimizer.step = progress.value.step
        mixed?.expand()
    }

    /// Returns the memory of a weight; of several processes, the rows that this one owns.
    private func weight(_ index: Int) -> TensorView {
        let parameter = model.parameters[index]
        if let parallel { return parameter.view(rows: parallel.rows(of: parameter)) }
        return mixed?.weights[index].view ?? parameter.view
    }

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
        let shard = try parallel.shard(of: parameter, model.divisions[index])
        return TensorState(name, view, of: shard, role: role, group: group)
    }

    /// Description of the state for the engine.
    ///
    /// - Throws: `ShardingError` if a parameter cannot be divided.
    func state() throws -> CompositeState {
        let (progress, count) = (progress, model.parameters.count)
        let moments = optimizer.firstMoments + optimizer.secondMoments
        return try CompositeState {
            CompositeState(
                "model",
                children: try model.parameters.indices.map { index in
                    try state(model.parameters[index].name, weight(index), .parameter, of: index)
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
    /// and is the same for any number of processes, however they divide the tensors. It is computed
    /// from the live memory, by all processes together.
    ///
    /// - Throws: the error of the process group.
    func digest() throws -> String {
        var hashes = try zip(model.parameters, model.divisions).map { parameter, division in
            try division.whole(of: parameter).fingerprint
        }
        hashes += (mixed?.masters ?? []).map(\.fingerprint)
        for moments in [optimizer.firstMoments, optimizer.secondMoments] {
            for (index, moment) in moments.enumerated() {
                let part = try parallel?.whole(ofRows: moment, model.parameters[index]) ?? moment
                hashes.append(try model.divisions[index].whole(of: part).fingerprint)
            }
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

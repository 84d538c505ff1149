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
    private let progress: Shared<Progress>

    init(configuration: ModelConfiguration, text: [UInt8], batch: Int, steps: Int, seed: UInt64, isMixed: Bool) {
        var random = RandomGenerator(seed: seed)
        model = GPT(configuration: configuration, random: &random)
        mixed = isMixed ? MixedPrecision(model: model) : nil
        optimizer = AdamW(model: model, mixed: mixed)
        self.text = text
        self.batch = batch
        let schedule = LearningRateSchedule(peak: 1e-3, floor: 1e-4, warmupSteps: 20, totalSteps: steps)
        progress = Shared(
            Progress(random: random, cursor: DataCursor(seed: seed), schedule: schedule, configuration: configuration))
    }

    var step: Int { progress.value.step }

    /// Runs one step: forward and backward with the state unchanged, then the update, group by
    /// group, each under its mutation permit.
    ///
    /// - Parameter checkpointer: grants the permits, and records the trace.
    /// - Returns: the training loss before the update, in nats.
    func advance(_ checkpointer: Checkpointer) -> Float {
        var next = progress.value
        let batchOfText = next.cursor.nextBatch(from: text, batch: batch, context: model.configuration.context)
        let loss = model.lossAndGradients(
            inputs: batchOfText.inputs, targets: batchOfText.targets, batch: batch, random: &next.random,
            phase: { checkpointer.trace($0, $1) })
        optimizer.clipGradients(maxNorm: 1)
        let rate = next.schedule.rate(at: next.step)
        optimizer.beginStep()
        for group in optimizer.groups {
            checkpointer.mutate(group) { checkpointer.trace("update") { optimizer.update(group: group, learningRate: rate) } }
        }
        next.step += 1
        progress.value = next
        return loss
    }

    /// Adjusts values that are derived from the restored state: the optimizer's own step count, and
    /// the float32 copies of the weights that the model computes with.
    func adoptRestored() {
        optimizer.step = progress.value.step
        mixed?.expand()
    }

    private var weights: [TensorView] { mixed?.weights.map(\.view) ?? model.parameters.map(\.view) }

    /// Description of the state for the engine.
    var state: CompositeState {
        let (progress, weights) = (progress, weights)
        return CompositeState {
            CompositeState("model", children: model.parameters.indices.map { index in
                TensorState(model.parameters[index].name, weights[index], group: model.parameterGroup(of: index))
            })
            CompositeState("master", children: (mixed?.masters ?? []).enumerated().map { index, master in
                TensorState(master.name, master.view, role: .optimizer, group: model.parameterGroup(of: index))
            })
            OptimizerState(
                tensors: (optimizer.firstMoments + optimizer.secondMoments).enumerated().map { index, tensor in
                    (
                        name: String(tensor.name.dropFirst("optimizer.".count)), view: tensor.view,
                        group: model.parameterGroup(of: index % model.parameters.count)
                    )
                },
                getStep: { progress.value.step }, setStep: { progress.value.step = $0 })
            ObjectState("rng", role: .rng, get: { progress.value.random }, set: { progress.value.random = $0 })
            ObjectState("cursor", role: .data, get: { progress.value.cursor }, set: { progress.value.cursor = $0 })
            ObjectState(
                "schedule", role: .schedule, get: { progress.value.schedule }, set: { progress.value.schedule = $0 })
            ObjectState(
                "configuration", role: .config, get: { progress.value.configuration },
                set: { precondition($0 == progress.value.configuration, "the checkpoint is of another model") })
        }
    }

    /// A number that differs between different states of the tensors, except by accident. It is
    /// computed from the live memory.
    var digest: String {
        let tensors = model.parameters + (mixed?.masters ?? []) + optimizer.firstMoments + optimizer.secondMoments
        let value = tensors.reduce(0xcbf2_9ce4_8422_2325) { $0 &* 31 &+ $1.fingerprint }
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

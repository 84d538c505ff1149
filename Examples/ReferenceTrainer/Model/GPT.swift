/// A byte-level GPT-2: forward and backward pass in float32, deterministic for a given seed, input
/// thread count and division among processes. Only one thread at a time may use an instance.
///
/// Several processes may compute the layers together (tensor parallelism as in Megatron-LM). Each
/// then has some heads of attention and some hidden values of the MLP, and replicas of the rest, of
/// which all copies have the same bits.
package final class GPT {
    /// Configuration of the model.
    package let configuration: ModelConfiguration
    /// The trained tensors under GPT-2 names, in update order; of those that are divided, this
    /// process's parts.
    package let parameters: [Tensor]
    /// Gradients of the last `lossAndGradients`, in the order and shapes of `parameters`.
    package let gradients: [Tensor]
    /// Division of each of `parameters` among the processes.
    package let divisions: [TensorDivision]

    private let group: any TensorGroup
    private let embedding: Embedding
    private let blocks: [Block]
    private let finalNorm: LayerNorm
    private var activations: Activations

    /// Creates a model with initial weights as in GPT-2.
    ///
    /// - Parameters:
    ///   - configuration: extents of the model; at most 256 tokens.
    ///   - random: source of the initial weights. It is the same on all processes.
    ///   - group: the processes that compute the layers together; their number divides that of the
    ///     heads.
    package init(
        configuration: ModelConfiguration, random: inout RandomGenerator,
        group: any TensorGroup = SingleProcess()
    ) {
        precondition((1...256).contains(configuration.vocabulary), "tokens are bytes")
        precondition(
            configuration.heads.isMultiple(of: group.count), "the processes must divide the heads")
        var factory = ParameterFactory(random: random, group: group)
        embedding = Embedding(configuration, from: &factory)
        blocks = (0..<configuration.layers).map {
            Block("transformer.h.\($0)", configuration, from: &factory)
        }
        finalNorm = LayerNorm("transformer.ln_f", width: configuration.width, from: &factory)
        random = factory.random
        self.configuration = configuration
        self.group = group
        parameters = factory.all.map(\.value)
        gradients = factory.all.map(\.gradient)
        divisions = factory.all.map(\.division)
        activations = Activations(
            configuration, batch: 1, length: configuration.context, parts: group.count)
    }

    /// Returns the update group of a parameter: "embedding", "h.0", "h.1", ... or "final".
    ///
    /// - Parameter index: index in `parameters`.
    package func parameterGroup(of index: Int) -> String {
        let parts = parameters[index].name.split(separator: ".")
        switch parts[1] {
        case "h": return "h.\(parts[2])"
        case "ln_f": return "final"
        default: return "embedding"
        }
    }

    /// Runs a forward and backward pass with dropout on the residual branches. Overwrites
    /// `gradients`.
    ///
    /// - Parameters:
    ///   - inputs: tokens, row-major [batch, length]; the length is at most the context.
    ///   - targets: the token after each input, [batch, length].
    ///   - batch: number of sequences.
    ///   - dropout: probability of dropout, from 0 to below 1.
    ///   - random: source of the dropout masks. It is the same on all processes that compute the
    ///     layers together.
    ///   - phase: called with the name of each pass and a closure that runs it; it must call the
    ///     closure.
    /// - Returns: the mean cross-entropy in nats.
    /// - Throws: the error of the group.
    package func lossAndGradients(
        inputs: [UInt8], targets: [UInt8], batch: Int, dropout: Float = 0.1,
        random: inout RandomGenerator,
        phase: (StaticString, () throws -> Void) throws -> Void = { try $1() }
    ) throws -> Float {
        precondition((0..<1).contains(dropout))
        precondition(inputs.count == targets.count)
        let dropout = Dropout(probability: dropout)
        var loss = 0.0
        try phase("forward") {
            try forward(inputs, batch: batch, dropout: dropout, random: &random)
            loss = crossEntropy(activations.logits, targets: targets)
        }
        try phase("backward") { try backward(inputs, dropout: dropout) }
        return Float(loss)
    }

    /// Runs a forward and backward pass without dropout. Overwrites `gradients`.
    ///
    /// - Parameters:
    ///   - inputs: tokens, row-major [batch, length]; the length is at most the context.
    ///   - targets: the token after each input, [batch, length].
    ///   - batch: number of sequences.
    /// - Returns: the mean cross-entropy in nats.
    /// - Throws: the error of the group.
    package func lossAndGradients(inputs: [UInt8], targets: [UInt8], batch: Int) throws -> Float {
        var unused = RandomGenerator(seed: 0)
        return try lossAndGradients(
            inputs: inputs, targets: targets, batch: batch, dropout: 0, random: &unused)
    }

    /// Runs only a forward pass, without dropout.
    ///
    /// - Parameters:
    ///   - inputs: tokens, row-major [batch, length]; the length is at most the context.
    ///   - targets: the token after each input, [batch, length].
    ///   - batch: number of sequences.
    /// - Returns: the mean cross-entropy in nats.
    /// - Throws: the error of the group.
    package func loss(inputs: [UInt8], targets: [UInt8], batch: Int) throws -> Float {
        precondition(inputs.count == targets.count)
        try forward(inputs, batch: batch)
        return Float(crossEntropy(activations.logits, targets: targets))
    }

    /// Adds up numbers of the parameters over the processes that have parts of them.
    ///
    /// - Parameter values: one for each of `parameters`.
    /// - Returns: the sums, the same on all processes; of replicas, the number itself.
    /// - Throws: the error of the group.
    package func sumOverParts(_ values: [Double]) throws -> [Double] {
        guard group.count > 1 else { return values }
        let all = try group.allGather(values)
        return values.indices.map { index in
            divisions[index].isDivided ? all.reduce(0) { $0 + $1[index] } : values[index]
        }
    }

    /// Returns the logits [vocabulary] of the token after `tokens`; valid until the next pass.
    func nextTokenLogits(after tokens: some Collection<UInt8>) throws -> Row {
        precondition(!tokens.isEmpty && tokens.count <= configuration.context)
        // Attention never looks ahead, so padding at the end does not change the row that is read
        // here, and a constant length avoids reallocating the activations.
        let padding = [UInt8](repeating: 0, count: configuration.context - tokens.count)
        try forward(tokens + padding, batch: 1)
        return activations.logits.row(tokens.count - 1)
    }

    private func forward(_ inputs: [UInt8], batch: Int) throws {
        var unused = RandomGenerator(seed: 0)
        try forward(inputs, batch: batch, dropout: Dropout(probability: 0), random: &unused)
    }

    private func forward(
        _ inputs: [UInt8], batch: Int, dropout: Dropout, random: inout RandomGenerator
    ) throws {
        prepare(batch: batch, count: inputs.count)
        let a = activations
        embedding.forward(inputs, length: a.length, into: a.streams[0])
        for (i, block) in blocks.enumerated() {
            try block.forward(
                a.streams[i], into: a.streams[i + 1], a.blocks[i], dropout: dropout,
                random: &random)
        }
        finalNorm.forward(a.streams[blocks.count], into: a.final, statistics: a.finalStatistics)
        embedding.head(a.final, into: a.logits)
    }

    /// Runs the backward pass. The logits must have been replaced by their gradient.
    private func backward(_ inputs: [UInt8], dropout: Dropout) throws {
        let (a, d) = (activations, activations.scratch)
        for gradient in gradients { gradient.fill(0) }
        d.stream.tensor.fill(0)
        embedding.headBackward(a.logits, input: a.final, into: d.norm)
        finalNorm.backward(
            d.norm, input: a.streams[blocks.count], statistics: a.finalStatistics,
            addingTo: d.stream)
        for (i, block) in blocks.enumerated().reversed() {
            try block.backward(a.streams[i], a.blocks[i], d, dropout: dropout)
        }
        embedding.backward(d.stream, ids: inputs, length: a.length)
    }

    private func prepare(batch: Int, count: Int) {
        precondition(batch > 0 && count > 0 && count.isMultiple(of: batch))
        let length = count / batch
        precondition(length <= configuration.context, "the sequences exceed the context")
        guard activations.batch != batch || activations.length != length else { return }
        activations = Activations(
            configuration, batch: batch, length: length, parts: group.count)
    }
}

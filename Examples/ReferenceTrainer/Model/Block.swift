/// A pre-LayerNorm transformer block: x + attention(norm(x)), then the same with the MLP.
struct Block {
    let norm1: LayerNorm
    let attention: Attention
    let norm2: LayerNorm
    let mlp: MLP

    init(
        _ name: String, _ configuration: ModelConfiguration, from factory: inout ParameterFactory
    ) {
        let width = configuration.width
        // Two branches per layer add up in the stream; this keeps its variance near one layer's.
        let deviation = 0.02 / Float(2 * configuration.layers).squareRoot()
        norm1 = LayerNorm(name + ".ln_1", width: width, from: &factory)
        attention = Attention(
            name + ".attn", width: width, heads: configuration.heads, outputDeviation: deviation,
            from: &factory)
        norm2 = LayerNorm(name + ".ln_2", width: width, from: &factory)
        mlp = MLP(name + ".mlp", width: width, outputDeviation: deviation, from: &factory)
    }

    /// x, y: [rows, width].
    func forward(
        _ x: Matrix, into y: Matrix, _ a: BlockActivations, dropout: Dropout,
        random: inout RandomGenerator
    ) throws {
        norm1.forward(x, into: a.norm1, statistics: a.statistics1)
        try attention.forward(
            a.norm1, qkv: a.qkv, weights: a.attentionWeights, mixed: a.mixed, into: a.middle)
        dropout.forward(a.middle, mask: a.mask1, random: &random)
        a.middle.add(x)
        norm2.forward(a.middle, into: a.norm2, statistics: a.statistics2)
        try mlp.forward(a.norm2, hidden: a.hidden, activated: a.activated, into: y)
        dropout.forward(y, mask: a.mask2, random: &random)
        y.add(a.middle)
    }

    /// Turns `d.stream` from the gradient of the output into that of the input x.
    func backward(
        _ x: Matrix, _ a: BlockActivations, _ d: BackwardScratch, dropout: Dropout
    ) throws {
        dropout.backward(d.stream, mask: a.mask2, into: d.branch)
        try mlp.backward(
            d.branch, input: a.norm2, hidden: a.hidden, activated: a.activated, dHidden: d.hidden,
            into: d.norm)
        norm2.backward(d.norm, input: a.middle, statistics: a.statistics2, addingTo: d.stream)
        dropout.backward(d.stream, mask: a.mask1, into: d.branch)
        try attention.backward(
            d.branch, input: a.norm1, qkv: a.qkv, weights: a.attentionWeights, mixed: a.mixed,
            dMixed: d.mixed, dQKV: d.qkv, dWeights: d.attentionWeights, into: d.norm)
        norm1.backward(d.norm, input: x, statistics: a.statistics1, addingTo: d.stream)
    }
}

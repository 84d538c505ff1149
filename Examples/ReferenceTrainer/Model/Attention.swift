internal import CheckpointSharding

/// Causal multi-head self-attention. Of several processes, each computes some of the heads, which
/// together are `heads width` wide.
struct Attention {
    /// Queries, keys and values side by side.
    let input: ColumnParallelLinear
    let output: RowParallelLinear
    /// Number of this process's heads.
    let heads: Int
    private let headWidth: Int

    init(
        _ name: String, width: Int, heads: Int, outputDeviation: Float,
        from factory: inout ParameterFactory
    ) {
        precondition(width % heads == 0, "the heads must divide the width")
        headWidth = width / heads
        self.heads = heads / factory.group.count
        let section = FusedSection(units: heads, of: headWidth)
        input = ColumnParallelLinear(
            name + ".c_attn", inputs: width, sections: [section, section, section],
            from: &factory)
        output = RowParallelLinear(
            name + ".c_proj", inputs: width, outputs: width, deviation: outputDeviation,
            from: &factory)
    }

    /// x, y: [rows, width]. Kept for the backward pass: `qkv` [rows, 3 heads width], `weights`
    /// [rows * heads, length] and `mixed` [rows, heads width].
    func forward(
        _ x: Matrix, qkv: Matrix, weights: Matrix, mixed: Matrix, into y: Matrix
    ) throws {
        input.forward(x, into: qkv)
        forEachHead(weights) { sequence, head, weights in
            let part = slices(of: qkv, sequence, head, length: weights.rows)
            multiply(part.queries, part.keys.transposed, into: weights, scale: scale)
            causalSoftmax(weights)
            let mixed = slice(of: mixed, sequence, head, length: weights.rows)
            multiply(weights, part.values, into: mixed)
        }
        try output.forward(mixed, into: y)
    }

    /// Adds to the parameter gradients; overwrites `dx` and the scratch `dMixed`
    /// [rows, heads width], `dQKV` [rows, 3 heads width] and `dWeights` [length, length].
    func backward(
        _ dy: Matrix, input x: Matrix, qkv: Matrix, weights: Matrix, mixed: Matrix,
        dMixed: Matrix, dQKV: Matrix, dWeights: Matrix, into dx: Matrix
    ) throws {
        output.backward(dy, input: mixed, into: dMixed)
        forEachHead(weights) { sequence, head, weights in
            let part = slices(of: qkv, sequence, head, length: weights.rows)
            let gradient = slices(of: dQKV, sequence, head, length: weights.rows)
            let dMixed = slice(of: dMixed, sequence, head, length: weights.rows)
            multiply(weights.transposed, dMixed, into: gradient.values)
            multiply(dMixed, part.values.transposed, into: dWeights)
            causalSoftmaxBackward(dWeights, weights)
            multiply(dWeights, part.keys, into: gradient.queries, scale: scale)
            multiply(dWeights.transposed, part.queries, into: gradient.keys, scale: scale)
        }
        try input.backward(dQKV, input: x, into: dx)
    }

    private var scale: Float { 1 / Float(headWidth).squareRoot() }

    /// Calls `body` with each sequence, head and their square block of `weights`.
    private func forEachHead(_ weights: Matrix, _ body: (Int, Int, Matrix) -> Void) {
        let length = weights.columns
        for index in 0..<weights.rows / length {
            let block = weights.block(
                row: index * length, column: 0, rows: length, columns: length)
            body(index / heads, index % heads, block)
        }
    }

    private func slice(of x: Matrix, _ sequence: Int, _ head: Int, length: Int) -> Matrix {
        x.block(
            row: sequence * length, column: head * headWidth, rows: length, columns: headWidth)
    }

    private func slices(
        of qkv: Matrix, _ sequence: Int, _ head: Int, length: Int
    ) -> (queries: Matrix, keys: Matrix, values: Matrix) {
        (
            slice(of: qkv, sequence, head, length: length),
            slice(of: qkv, sequence, heads + head, length: length),
            slice(of: qkv, sequence, 2 * heads + head, length: length)
        )
    }
}

/// Softmax of each row over its own and the earlier positions; zero for the later ones.
private func causalSoftmax(_ scores: Matrix) {
    for r in 0..<scores.rows {
        scores.row(r).prefix(r + 1).softmax()
        scores.row(r).dropFirst(r + 1).fill(0)
    }
}

/// Turns the gradient of the softmax into that of the scores, in place; later positions get zero.
private func causalSoftmaxBackward(_ gradient: Matrix, _ weights: Matrix) {
    for r in 0..<gradient.rows {
        let (d, w) = (gradient.row(r).prefix(r + 1), weights.row(r).prefix(r + 1))
        let mean = d.dot(w)
        for i in 0..<d.count { d[i] = (d[i] - mean) * w[i] }
        gradient.row(r).dropFirst(r + 1).fill(0)
    }
}

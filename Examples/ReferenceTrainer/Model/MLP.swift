internal import CheckpointSharding

/// Two layers with a GELU between them; the hidden one is four times as wide. Of several processes,
/// each computes some of the hidden values; `hidden width` is their number.
struct MLP {
    let expand: ColumnParallelLinear
    let contract: RowParallelLinear

    init(_ name: String, width: Int, outputDeviation: Float, from factory: inout ParameterFactory) {
        expand = ColumnParallelLinear(
            name + ".c_fc", inputs: width, sections: [FusedSection(units: 4 * width, of: 1)],
            from: &factory)
        contract = RowParallelLinear(
            name + ".c_proj", inputs: 4 * width, outputs: width, deviation: outputDeviation,
            from: &factory)
    }

    /// x, y: [rows, width]; `hidden` and `activated` [rows, hidden width] are kept for the backward
    /// pass.
    func forward(_ x: Matrix, hidden: Matrix, activated: Matrix, into y: Matrix) throws {
        expand.forward(x, into: hidden)
        for r in 0..<x.rows { gelu(hidden.row(r), into: activated.row(r)) }
        try contract.forward(activated, into: y)
    }

    /// Adds to the parameter gradients; overwrites `dx` and the scratch `dHidden`
    /// [rows, hidden width].
    func backward(
        _ dy: Matrix, input x: Matrix, hidden: Matrix, activated: Matrix, dHidden: Matrix,
        into dx: Matrix
    ) throws {
        contract.backward(dy, input: activated, into: dHidden)
        for r in 0..<dHidden.rows { geluBackward(dHidden.row(r), input: hidden.row(r)) }
        try expand.backward(dHidden, input: x, into: dx)
    }
}

/// sqrt(8 / pi): the tanh form of GELU, x (1 + tanh u) / 2, equals x times the sigmoid of 2u.
private let slope: Float = 1.595_769_1
private let cubic: Float = 0.044_715

private func gelu(_ x: Row, into y: Row) {
    precondition(x.count == y.count)
    for i in 0..<x.count { y[i] = x[i] * geluSigmoid(x[i]) }
}

/// Turns the gradient of GELU's output into that of its input, in place.
private func geluBackward(_ dy: Row, input: Row) {
    precondition(dy.count == input.count)
    for i in 0..<input.count {
        let x = input[i]
        let s = geluSigmoid(x)
        dy[i] *= s + x * s * (1 - s) * slope * (1 + 3 * cubic * x * x)
    }
}

@inline(__always)
private func geluSigmoid(_ x: Float) -> Float {
    1 / (1 + exponential(-slope * (x + cubic * x * x * x)))
}

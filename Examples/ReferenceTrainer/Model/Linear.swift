internal import CheckpointSharding

/// y = x W + b over rows, with W stored [inputs, outputs] as in GPT-2 checkpoints.
struct Linear {
    let weight: Parameter
    let bias: Parameter

    init(
        _ name: String, weight: TensorSharding, bias: TensorSharding, deviation: Float,
        from factory: inout ParameterFactory
    ) {
        self.weight = factory.gaussian(name + ".weight", weight, deviation: deviation)
        self.bias = factory.constant(name + ".bias", bias, 0)
    }

    /// x: [rows, inputs], y: [rows, outputs].
    func forward(_ x: Matrix, into y: Matrix) {
        for r in 0..<y.rows { y.row(r).copy(bias.value.row) }
        multiply(x, weight.value.matrix, into: y, accumulating: true)
    }

    /// Adds to the parameter gradients; overwrites `dx`.
    func backward(_ dy: Matrix, input x: Matrix, into dx: Matrix) {
        multiply(x.transposed, dy, into: weight.gradient.matrix, accumulating: true)
        for r in 0..<dy.rows { bias.gradient.row.add(dy.row(r)) }
        multiply(dy, weight.value.matrix.transposed, into: dx)
    }
}

internal import CheckpointSharding

/// A linear layer of which each process of a group has some of the inputs, and a summand of every
/// output. All have the bias.
struct RowParallelLinear {
    private let linear: Linear
    private let group: any TensorGroup

    init(
        _ name: String, inputs: Int, outputs: Int, deviation: Float,
        from factory: inout ParameterFactory
    ) {
        group = factory.group
        linear = Linear(
            name,
            weight: TensorSharding([inputs, outputs]).split(0, over: TensorDivision.axis, .even),
            bias: TensorSharding([outputs]), deviation: deviation, from: &factory)
    }

    /// x: this process's inputs, [rows, inputs / processes], y: [rows, outputs].
    func forward(_ x: Matrix, into y: Matrix) throws {
        guard group.count > 1 else { return linear.forward(x, into: y) }
        multiply(x, linear.weight.value.matrix, into: y)
        try group.sum(y)
        // After the sum, so that it is added once.
        for r in 0..<y.rows { y.row(r).add(linear.bias.value.row) }
    }

    /// Adds to the parameter gradients; overwrites `dx`. Every process has all of `dy`, so each
    /// computes the complete gradient of the bias.
    func backward(_ dy: Matrix, input x: Matrix, into dx: Matrix) {
        linear.backward(dy, input: x, into: dx)
    }
}

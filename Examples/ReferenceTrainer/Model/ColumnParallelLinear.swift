internal import CheckpointSharding

/// A linear layer of which each process of a group computes some of the outputs, from all inputs.
struct ColumnParallelLinear {
    private let linear: Linear
    private let group: any TensorGroup

    /// Creates a layer whose outputs are several sections side by side. Each process gets some
    /// units of every section, one section after the other.
    init(
        _ name: String, inputs: Int, sections: [FusedSection], deviation: Float = 0.02,
        from factory: inout ParameterFactory
    ) {
        let outputs = sections.reduce(0) { $0 + $1.units * $1.unitExtent }
        group = factory.group
        linear = Linear(
            name,
            weight: TensorSharding([inputs, outputs])
                .fused(1, sections, over: TensorDivision.axis),
            bias: TensorSharding([outputs]).fused(0, sections, over: TensorDivision.axis),
            deviation: deviation, from: &factory)
    }

    /// x: [rows, inputs], y: this process's outputs, [rows, outputs / processes].
    func forward(_ x: Matrix, into y: Matrix) {
        linear.forward(x, into: y)
    }

    /// Adds to the parameter gradients; overwrites `dx` with the gradient of all outputs.
    func backward(_ dy: Matrix, input x: Matrix, into dx: Matrix) throws {
        linear.backward(dy, input: x, into: dx)
        try group.sum(dx)
    }
}

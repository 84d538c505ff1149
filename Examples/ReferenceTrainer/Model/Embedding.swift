internal import CheckpointSharding

/// Learned token and position vectors. The token table also serves as the output head.
struct Embedding {
    /// [vocabulary, width]
    let tokens: Parameter
    /// [context, width]
    let positions: Parameter

    init(_ configuration: ModelConfiguration, from factory: inout ParameterFactory) {
        let width = configuration.width
        tokens = factory.gaussian(
            "transformer.wte.weight", TensorSharding([configuration.vocabulary, width]),
            deviation: 0.02)
        positions = factory.gaussian(
            "transformer.wpe.weight", TensorSharding([configuration.context, width]),
            deviation: 0.02)
    }

    /// ids: [batch * length], x: [batch * length, width].
    func forward(_ ids: [UInt8], length: Int, into x: Matrix) {
        for (r, id) in ids.enumerated() {
            x.row(r).copy(tokens.value.matrix.row(Int(id)))
            x.row(r).add(positions.value.matrix.row(r % length))
        }
    }

    /// Adds to the gradients of both tables.
    func backward(_ dx: Matrix, ids: [UInt8], length: Int) {
        for (r, id) in ids.enumerated() {
            tokens.gradient.matrix.row(Int(id)).add(dx.row(r))
            positions.gradient.matrix.row(r % length).add(dx.row(r))
        }
    }

    /// x: [rows, width], logits: [rows, vocabulary].
    func head(_ x: Matrix, into logits: Matrix) {
        multiply(x, tokens.value.matrix.transposed, into: logits)
    }

    /// Adds to the gradient of the token table; overwrites `dx`.
    func headBackward(_ dLogits: Matrix, input x: Matrix, into dx: Matrix) {
        multiply(dLogits.transposed, x, into: tokens.gradient.matrix, accumulating: true)
        multiply(dLogits, tokens.value.matrix, into: dx)
    }
}

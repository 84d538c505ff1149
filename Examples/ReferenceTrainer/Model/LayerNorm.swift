internal import CheckpointSharding

/// y = (x - mean) / deviation * weight + bias, the statistics taken over each row.
struct LayerNorm {
    let weight: Parameter
    let bias: Parameter
    private let epsilon: Float = 1e-5

    init(_ name: String, width: Int, from factory: inout ParameterFactory) {
        weight = factory.constant(name + ".weight", TensorSharding([width]), 1)
        bias = factory.constant(name + ".bias", TensorSharding([width]), 0)
    }

    /// x, y: [rows, width]; `statistics`: [rows, 2], each row's mean and reciprocal deviation.
    func forward(_ x: Matrix, into y: Matrix, statistics: Matrix) {
        for r in 0..<x.rows {
            normalise(x.row(r), into: y.row(r), statistics: statistics.row(r))
        }
    }

    /// Adds to the parameter gradients and to `dx`, the gradient of the residual stream.
    func backward(_ dy: Matrix, input x: Matrix, statistics: Matrix, addingTo dx: Matrix) {
        for r in 0..<x.rows {
            let (dy, x, dx, statistics) = (dy.row(r), x.row(r), dx.row(r), statistics.row(r))
            accumulateParameters(dy, x, statistics)
            accumulateInput(dy, x, statistics, addingTo: dx)
        }
    }

    private func normalise(_ x: Row, into y: Row, statistics: Row) {
        let (w, b) = (weight.value.row, bias.value.row)
        let count = x.count
        precondition(y.count == count && w.count == count && b.count == count)
        let mean = x.sum / Float(count)
        for i in 0..<count { y[i] = x[i] - mean }
        let inverse = 1 / (y.dot(y) / Float(count) + epsilon).squareRoot()
        for i in 0..<count { y[i] = y[i] * inverse * w[i] + b[i] }
        statistics[0] = mean
        statistics[1] = inverse
    }

    private func accumulateParameters(_ dy: Row, _ x: Row, _ statistics: Row) {
        let (dw, db) = (weight.gradient.row, bias.gradient.row)
        let (mean, inverse) = (statistics[0], statistics[1])
        let count = x.count
        precondition(dy.count == count && dw.count == count && db.count == count)
        for i in 0..<count {
            dw[i] += dy[i] * (x[i] - mean) * inverse
            db[i] += dy[i]
        }
    }

    /// Adds the gradient of the input to `dx`. The normalization removes from the gradient its mean
    /// and its component along the normalized row.
    private func accumulateInput(_ dy: Row, _ x: Row, _ statistics: Row, addingTo dx: Row) {
        let w = weight.value.row
        let (mean, inverse) = (statistics[0], statistics[1])
        let count = x.count
        precondition(dy.count == count && dx.count == count && w.count == count)
        var (total, along): (Float, Float) = (0, 0)
        for i in 0..<count {
            total += dy[i] * w[i]
            along += dy[i] * w[i] * (x[i] - mean)
        }
        let shift = total / Float(count)
        let slope = along * inverse * inverse / Float(count)
        for i in 0..<count { dx[i] += inverse * (dy[i] * w[i] - shift - (x[i] - mean) * slope) }
    }
}

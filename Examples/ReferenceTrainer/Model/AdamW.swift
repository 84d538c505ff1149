import Glibc

/// Adam with decoupled weight decay. The decay applies only to matrices, and not to biases and
/// norms.
package final class AdamW {
    /// Parameters of the updates other than gradients, moments and learning rate.
    package struct Hyperparameters: Codable, Sendable, Equatable {
        /// Decay per step of the mean of the gradients.
        package var beta1: Float
        /// Decay per step of the mean of the squared gradients.
        package var beta2: Float
        /// Keeps the division by small squares finite.
        package var epsilon: Float
        /// Share of a matrix, times the learning rate, that each step removes.
        package var weightDecay: Float

        /// Creates hyperparameters. The defaults suit small language models.
        package init(
            beta1: Float = 0.9, beta2: Float = 0.95, epsilon: Float = 1e-8,
            weightDecay: Float = 0.1
        ) {
            self.beta1 = beta1
            self.beta2 = beta2
            self.epsilon = epsilon
            self.weightDecay = weightDecay
        }
    }

    /// Hyperparameters of the next update; they may change between steps.
    package var hyperparameters: Hyperparameters
    /// Number of steps begun. To resume, set it and fill the moments.
    package var step = 0
    /// Running means of the gradients, in the order of the parameters and in the shapes of their
    /// updated rows.
    package let firstMoments: [Tensor]
    /// Running means of the squared gradients, likewise.
    package let secondMoments: [Tensor]
    /// The groups in update order.
    package let groups: [String]

    private let parameters: [Tensor]
    /// Rows of each parameter that are updated; the others are left to other processes.
    private let rows: [Range<Int>]
    /// Rounding of the updated parameters, if they are masters; otherwise nil.
    private let mixed: MixedPrecision?
    private let gradients: [Tensor]
    private let groupOfParameter: [String]

    /// Creates an optimizer of a model. It reads the model's gradients and updates its parameters
    /// in place.
    ///
    /// - Parameters:
    ///   - model: the model to train.
    ///   - mixed: if the model's weights are rounded from masters, the masters to update instead.
    ///   - rows: rows of each parameter to update; nil means all. None is empty.
    ///   - hyperparameters: initial hyperparameters.
    package convenience init(
        model: GPT, mixed: MixedPrecision? = nil, rows: [Range<Int>]? = nil,
        hyperparameters: Hyperparameters = Hyperparameters()
    ) {
        self.init(
            parameters: mixed?.masters ?? model.parameters, mixed: mixed,
            gradients: model.gradients,
            groupOfParameter: model.parameters.indices.map(model.parameterGroup(of:)), rows: rows,
            hyperparameters: hyperparameters)
    }

    /// Creates an optimizer of tensors. The three arrays are parallel: one element for each
    /// parameter.
    ///
    /// - Parameters:
    ///   - parameters: tensors to update.
    ///   - mixed: rounding after each update, if the parameters are masters.
    ///   - gradients: gradients, in the shapes of the parameters.
    ///   - groupOfParameter: name of each parameter's update group.
    ///   - rows: rows of each parameter to update; nil means all. None is empty.
    ///   - hyperparameters: initial hyperparameters.
    package init(
        parameters: [Tensor], mixed: MixedPrecision? = nil, gradients: [Tensor],
        groupOfParameter: [String], rows: [Range<Int>]? = nil,
        hyperparameters: Hyperparameters = Hyperparameters()
    ) {
        precondition(parameters.map(\.shape) == gradients.map(\.shape))
        precondition(parameters.count == groupOfParameter.count)
        self.parameters = parameters
        self.mixed = mixed
        self.gradients = gradients
        self.groupOfParameter = groupOfParameter
        self.hyperparameters = hyperparameters
        let rows = rows ?? parameters.map { 0..<$0.shape[0] }
        self.rows = rows
        func moments(_ kind: String) -> [Tensor] {
            zip(parameters, rows).map { parameter, rows in
                Tensor(
                    name: "optimizer.\(kind).\(parameter.name)",
                    shape: [rows.count] + parameter.shape.dropFirst())
            }
        }
        firstMoments = moments("m")
        secondMoments = moments("v")
        groups = groupOfParameter.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// Begins the next step. The updates of all groups follow.
    package func beginStep() {
        step += 1
    }

    /// The sum of the squares of each gradient.
    package var gradientSumsOfSquares: [Double] { gradients.map { $0.row.sumOfSquares } }

    /// Scales the gradients down to a maximum global norm.
    ///
    /// - Parameters:
    ///   - maxNorm: maximum L2 norm of all gradients together.
    ///   - sumsOfSquares: those of the complete gradients, if processes have parts of them; nil
    ///     means those of `gradientSumsOfSquares`.
    /// - Returns: the norm before scaling.
    @discardableResult
    package func clipGradients(maxNorm: Float, sumsOfSquares: [Double]? = nil) -> Float {
        let sums = sumsOfSquares ?? gradientSumsOfSquares
        let norm = Float(sums.reduce(0, +).squareRoot())
        if norm > maxNorm {
            for gradient in gradients { gradient.row.scale(by: maxNorm / norm) }
        }
        return norm
    }

    /// Updates all groups in order.
    ///
    /// - Parameter learningRate: learning rate of the step.
    package func update(learningRate: Float) {
        for group in groups { update(group: group, learningRate: learningRate) }
    }

    /// Updates the parameters and moments of one group, and no others.
    ///
    /// - Parameters:
    ///   - group: name of the group.
    ///   - learningRate: learning rate of the step.
    package func update(group: String, learningRate: Float) {
        precondition(step > 0, "beginStep opens the step")
        precondition(groups.contains(group))
        for index in parameters.indices where groupOfParameter[index] == group {
            updateMoments(index)
            updateParameter(index, learningRate: learningRate)
            mixed?.round(index)
        }
    }

    private func updateMoments(_ index: Int) {
        let (beta1, beta2) = (hyperparameters.beta1, hyperparameters.beta2)
        let (g, m, v) = (gradients[index].row, firstMoments[index].row, secondMoments[index].row)
        let first = offset(index)
        precondition(m.count == v.count && first + m.count <= g.count)
        for i in 0..<m.count {
            m[i] = beta1 * m[i] + (1 - beta1) * g[first + i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[first + i] * g[first + i]
        }
    }

    /// Returns the position of the first updated value of a parameter.
    private func offset(_ index: Int) -> Int {
        rows[index].lowerBound * (parameters[index].count / parameters[index].shape[0])
    }

    private func updateParameter(_ index: Int, learningRate: Float) {
        let (p, m, v) = (parameters[index].row, firstMoments[index].row, secondMoments[index].row)
        let scale1 = correction(hyperparameters.beta1)
        let scale2 = correction(hyperparameters.beta2)
        let decay = parameters[index].shape.count > 1 ? hyperparameters.weightDecay : 0
        let epsilon = hyperparameters.epsilon
        let first = offset(index)
        precondition(m.count == v.count && first + m.count <= p.count)
        for i in 0..<m.count {
            let direction = scale1 * m[i] / ((scale2 * v[i]).squareRoot() + epsilon)
            p[first + i] -= learningRate * (direction + decay * p[first + i])
        }
    }

    /// Returns the factor that compensates for the moments' initial value of zero.
    private func correction(_ beta: Float) -> Float {
        Float(1 / (1 - pow(Double(beta), Double(step))))
    }
}

extension Row {
    fileprivate var sumOfSquares: Double {
        var total = 0.0
        for i in 0..<count { total += Double(self[i]) * Double(self[i]) }
        return total
    }
}

/// Weights in bf16, rounded after each update from float32 masters that the optimizer updates.
///
/// The model still computes in float32, with the values of the rounded weights.
package final class MixedPrecision {
    /// Masters that the optimizer updates, in the order and shapes of the model's parameters.
    package let masters: [Tensor]
    /// Weights that the model computes with, in the order and shapes of the model's parameters.
    package let weights: [HalfTensor]
    private let parameters: [Tensor]

    /// Initializes the masters from the model's parameters, and rounds the parameters.
    ///
    /// - Parameter model: the model whose parameters are replaced with rounded values.
    package init(model: GPT) {
        parameters = model.parameters
        masters = parameters.map { Tensor(name: $0.name, shape: $0.shape) }
        weights = parameters.map { HalfTensor(name: $0.name, shape: $0.shape) }
        for index in parameters.indices {
            masters[index].row.copy(parameters[index].row)
            round(index)
        }
    }

    /// Rounds a master after its update, and copies the result to the model's parameter.
    func round(_ index: Int) {
        weights[index].round(masters[index])
        weights[index].expand(into: parameters[index])
    }

    /// Copies the weights to the model's parameters. Call it after restoring the weights.
    package func expand() {
        for index in weights.indices { weights[index].expand(into: parameters[index]) }
    }
}

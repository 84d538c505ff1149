/// Weights in bf16, rounded after each update from float32 masters that the optimizer works on.
///
/// The model goes on computing in float32, with the values of the rounded weights.
package final class MixedPrecision {
    /// What the optimizer updates, in the order and shapes of the model's parameters.
    package let masters: [Tensor]
    /// What the model computes with, likewise.
    package let weights: [HalfTensor]
    private let parameters: [Tensor]

    /// The masters begin as the model's parameters.
    package init(model: GPT) {
        parameters = model.parameters
        masters = parameters.map { Tensor(name: $0.name, shape: $0.shape) }
        weights = parameters.map { HalfTensor(name: $0.name, shape: $0.shape) }
        for index in parameters.indices {
            masters[index].row.copy(parameters[index].row)
            round(index)
        }
    }

    /// A master has been updated.
    func round(_ index: Int) {
        weights[index].round(masters[index])
        weights[index].expand(into: parameters[index])
    }

    /// The weights have been restored.
    package func expand() {
        for index in weights.indices { weights[index].expand(into: parameters[index]) }
    }
}

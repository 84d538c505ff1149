/// A trained tensor with the gradient of the loss with respect to it, of the same shape.
struct Parameter {
    let value: Tensor
    let gradient: Tensor
}

/// Factory of parameters. It keeps them in the order of creation, which is the order of the
/// checkpoint, of the updates and of the random draws.
struct ParameterFactory {
    var random: RandomGenerator
    private(set) var all: [Parameter] = []

    init(random: RandomGenerator) {
        self.random = random
    }

    mutating func constant(_ name: String, _ shape: [Int], _ value: Float) -> Parameter {
        let parameter = Parameter(
            value: Tensor(name: name, shape: shape),
            gradient: Tensor(name: "gradient." + name, shape: shape))
        parameter.value.fill(value)
        all.append(parameter)
        return parameter
    }

    mutating func gaussian(_ name: String, _ shape: [Int], deviation: Float) -> Parameter {
        let parameter = constant(name, shape, 0)
        let row = parameter.value.row
        for i in 0..<row.count { row[i] = deviation * random.nextGaussian() }
        return parameter
    }
}

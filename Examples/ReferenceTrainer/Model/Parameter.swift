internal import CheckpointSharding

/// A trained tensor, or a process's part of one, with the gradient of the loss with respect to it,
/// of the same shape.
struct Parameter {
    let value: Tensor
    let gradient: Tensor
    let division: TensorDivision
}

/// Factory of parameters. It keeps them in the order of creation, which is the order of the
/// checkpoint, of the updates and of the random draws.
struct ParameterFactory {
    var random: RandomGenerator
    /// The processes among which parameters are divided.
    let group: any TensorGroup
    private(set) var all: [Parameter] = []

    init(random: RandomGenerator, group: any TensorGroup) {
        self.random = random
        self.group = group
    }

    mutating func constant(
        _ name: String, _ sharding: TensorSharding, _ value: Float
    ) -> Parameter {
        add(name, sharding) { $0.fill(value) }
    }

    mutating func gaussian(
        _ name: String, _ sharding: TensorSharding, deviation: Float
    ) -> Parameter {
        // Every process draws the complete tensor, and takes its part: the weights do not depend on
        // the number of processes.
        var random = random
        let parameter = add(name, sharding) { whole in
            let row = whole.row
            for i in 0..<row.count { row[i] = deviation * random.nextGaussian() }
        }
        self.random = random
        return parameter
    }

    /// Adds a parameter whose complete tensor `fill` initializes.
    private mutating func add(
        _ name: String, _ sharding: TensorSharding, fill: (Tensor) -> Void
    ) -> Parameter {
        let division = TensorDivision(sharding, among: group)
        let whole = Tensor(name: name, shape: sharding.shape)
        fill(whole)
        let parameter = Parameter(
            value: division.part(of: whole),
            gradient: Tensor(name: "gradient." + name, shape: division.shape), division: division)
        all.append(parameter)
        return parameter
    }
}

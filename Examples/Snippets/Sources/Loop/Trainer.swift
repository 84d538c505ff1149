import Checkpointing

// What the loop of the README assumes that its reader has: a model of two layers, as a trainer in
// Swift 6 would write it.

final class Trainer {
    var step = 0
    var random: [UInt64] = [1, 2]
    var cursor = 0
    /// Steps that this process has trained.
    var trained = 0

    func forwardBackward() -> Double {
        random[0] = random[0] &* 6_364_136_223_846_793_005 &+ 1
        cursor += 1
        trained += 1
        return 1 / Double(step + 1)
    }
}

struct Layer {
    let name: String
    let weight: OwnedTensor<Float>
    let moment: OwnedTensor<Float>

    init(_ name: String) throws {
        self.name = name
        weight = try OwnedTensor(repeating: 1, shape: [64, 64])
        moment = try OwnedTensor(repeating: 0, shape: [64, 64])
    }
}

final class Optimizer {
    let layers: [Layer]
    var groups: [String] { layers.map(\.name) }

    init(_ layers: [Layer]) { self.layers = layers }

    func update(_ group: String) {
        for layer in layers where layer.name == group {
            layer.moment[0] = layer.moment[0] * 0.9 + 0.1
            layer.weight[0] -= layer.moment[0] * 0.01
        }
    }
}

struct Parameter {
    let name: String
    let view: TensorView
    let layer: String
}

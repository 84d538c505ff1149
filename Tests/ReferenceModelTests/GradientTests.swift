import ReferenceModel
import Testing

/// Compares the hand-written backward pass with central differences of the forward pass.
///
/// With a step of 5e-3 and a loss near 3, rounding of the float32 forward pass disturbs a difference
/// quotient by some 5e-5, and the third derivative by about as much; the norms compared are of order
/// 0.1 to 1. The relative errors measured are at most 3e-4; the tolerance leaves room for the other
/// kernels that OpenBLAS chooses on other processors.
@Suite(.timeLimit(.minutes(20)))
struct GradientTests {
    private let batch = 2
    private let inputs: [UInt8] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 12, 8, 0]
    private let targets: [UInt8] = [1, 4, 1, 5, 9, 2, 6, 5, 12, 8, 0, 7]

    @Test("Gradients match central differences", arguments: [0, 0.25 as Float])
    func gradientsMatchDifferences(dropout: Float) throws {
        let model = scatteredModel()
        var random = RandomGenerator(seed: 11)
        _ = try loss(model, dropout)
        let gradients = model.gradients.map(\.values)
        for (parameter, gradient) in zip(model.parameters, gradients) {
            let entries = sampledEntries(gradient, random: &random)
            let differences = try entries.map { try difference(model, parameter, $0, dropout) }
            let error = norm(zip(entries, differences).map { gradient[$0] - $1 })
            #expect(norm(differences) > 0.02, "\(parameter.name) hardly matters: a vacuous check")
            #expect(error < 2e-3 * norm(differences), "\(parameter.name)")
        }
    }

    @Test("Forward-only loss equals the loss of the training pass")
    func lossesAgree() throws {
        let model = scatteredModel()
        let forward = try model.loss(inputs: inputs, targets: targets, batch: batch)
        #expect(
            try forward
                == model.lossAndGradients(inputs: inputs, targets: targets, batch: batch))
    }

    @Test("Gradients are overwritten, not accumulated")
    func gradientsAreOverwritten() throws {
        let model = scatteredModel()
        _ = try loss(model, 0)
        let first = model.gradients.map(\.bits)
        _ = try loss(model, 0)
        #expect(first == model.gradients.map(\.bits))
    }

    /// Initial weights are so small that most gradients vanish in rounding; these are not.
    private func scatteredModel() -> GPT {
        var random = RandomGenerator(seed: 7)
        let model = GPT(configuration: .micro, random: &random)
        for parameter in model.parameters {
            for i in 0..<parameter.count { parameter[i] += 0.3 * random.nextGaussian() }
        }
        return model
    }

    /// Starts from the same random state each time, so the same values drop out.
    private func loss(_ model: GPT, _ dropout: Float) throws -> Float {
        var random = RandomGenerator(seed: 5)
        return try model.lossAndGradients(
            inputs: inputs, targets: targets, batch: batch, dropout: dropout, random: &random)
    }

    private func difference(
        _ model: GPT, _ parameter: Tensor, _ index: Int, _ dropout: Float
    ) throws -> Float {
        let (value, step) = (parameter[index], 5e-3 as Float)
        parameter[index] = value + step
        let above = try loss(model, dropout)
        parameter[index] = value - step
        let below = try loss(model, dropout)
        parameter[index] = value
        return (above - below) / ((value + step) - (value - step))
    }

    /// The entry with the largest gradient and some random ones.
    private func sampledEntries(_ gradient: [Float], random: inout RandomGenerator) -> [Int] {
        let largest = gradient.indices.max { abs(gradient[$0]) < abs(gradient[$1]) } ?? 0
        return [largest] + (0..<10).map { _ in Int.random(in: gradient.indices, using: &random) }
    }

    private func norm(_ values: [Float]) -> Float {
        values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
}

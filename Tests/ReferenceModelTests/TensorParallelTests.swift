import CheckpointSharding
import Testing

@testable import ReferenceModel

/// Threads that compute the layers of a model together, beside a model that computes them alone.
@Suite("Tensor parallelism", .timeLimit(.minutes(20)))
struct TensorParallelTests {
    private static let configuration = ModelConfiguration(
        vocabulary: 13, context: 6, layers: 2, heads: 4, width: 16)
    private static let inputs: [UInt8] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 12, 8, 0]
    private static let targets: [UInt8] = [1, 4, 1, 5, 9, 2, 6, 5, 12, 8, 0, 7]

    /// The results of a pass, as complete tensors.
    private struct Pass: Sendable {
        var loss: Float
        var norm: Float
        var weights, gradients: [[Float]]
        /// The bits of what every process has completely.
        var replicas: [[UInt32]] = []
        var partCount: Int
    }

    /// Runs a pass with dropout, from weights that are not as small as initial ones.
    private static func pass(_ group: any TensorGroup) throws -> Pass {
        var random = RandomGenerator(seed: 7)
        let model = GPT(configuration: configuration, random: &random, group: group)
        let weights = try whole(model.parameters, model)
        for (parameter, division) in zip(model.parameters, model.divisions) {
            let noise = Tensor(name: "noise", shape: division.sharding.shape)
            for i in 0..<noise.count { noise[i] = 0.3 * random.nextGaussian() }
            parameter.row.add(division.part(of: noise).row)
        }
        let loss = try model.lossAndGradients(
            inputs: inputs, targets: targets, batch: 2, dropout: 0.25, random: &random)
        let gradients = try whole(model.gradients, model)
        let replicas = zip(model.gradients, model.divisions).filter { !$1.isDivided }
        let optimizer = AdamW(model: model)
        let norm = optimizer.clipGradients(
            maxNorm: 1e6,
            sumsOfSquares: try model.sumOverParts(optimizer.gradientSumsOfSquares))
        return Pass(
            loss: loss, norm: norm, weights: weights, gradients: gradients,
            replicas: replicas.map { $0.0.bits },
            partCount: model.parameters.reduce(0) { $0 + $1.count })
    }

    private static func whole(_ parts: [Tensor], _ model: GPT) throws -> [[Float]] {
        try zip(parts, model.divisions).map { try $1.whole(of: $0).values }
    }

    @Test("Processes that divide the layers compute what one computes", arguments: [1, 2, 4])
    func equalsTheWholeModel(processes: Int) throws {
        let alone = try Self.pass(SingleProcess())
        let passes = try ThreadGroup.run(processes) { try Self.pass($0) }
        #expect(passes.count == processes)
        for pass in passes {
            #expect(pass.weights == alone.weights)
            #expect(abs(pass.loss - alone.loss) < 1e-5 * alone.loss)
            #expect(abs(pass.norm - alone.norm) < 1e-4 * alone.norm)
            for (gradient, reference) in zip(pass.gradients, alone.gradients) {
                let size = norm(reference)
                #expect(size > 1e-3, "a vacuous check")
                #expect(norm(zip(gradient, reference).map { $0 - $1 }) < 1e-4 * size)
            }
            // Copies must not drift apart, by no bit.
            #expect(pass.replicas == passes[0].replicas)
            #expect(pass.loss == passes[0].loss && pass.norm == passes[0].norm)
            #expect(processes == 1 || pass.partCount < alone.partCount)
        }
        if processes == 1 { #expect(passes[0].gradients == alone.gradients) }
    }

    @Test("A part of a tensor has whole heads of each section, one section after the other")
    func partsOfAttention() throws {
        // Four heads, each two columns wide, of queries, keys and values.
        let parts = try ThreadGroup.run(2) { group in
            var factory = ParameterFactory(random: RandomGenerator(seed: 1), group: group)
            let section = FusedSection(units: 4, of: 2)
            _ = ColumnParallelLinear(
                "x", inputs: 1, sections: [section, section, section], from: &factory)
            let whole = Tensor(name: "x", shape: [1, 24])
            for i in 0..<24 { whole[i] = Float(i) }
            return factory.all[0].division.part(of: whole).values
        }
        #expect(parts[0] == [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19])
        #expect(parts[1] == [4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23])
    }

    private func norm(_ values: [Float]) -> Float {
        values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
}

import Foundation
import Testing

@testable import ReferenceModel

@Suite(.timeLimit(.minutes(20)))
struct ModelTests {
    @Test("The parameter count is that of the allocated parameters",
        arguments: [ModelConfiguration.micro, .tiny, .small])
    func parameterCount(configuration: ModelConfiguration) {
        var random = RandomGenerator(seed: 0)
        let model = GPT(configuration: configuration, random: &random)
        #expect(model.parameters.reduce(0) { $0 + $1.count } == configuration.parameterCount)
        #expect(model.gradients.map(\.shape) == model.parameters.map(\.shape))
    }

    @Test("Parameters carry GPT-2 names and belong to update groups")
    func namesAndGroups() {
        var random = RandomGenerator(seed: 0)
        let model = GPT(configuration: .micro, random: &random)
        #expect(model.parameters[0].name == "transformer.wte.weight")
        #expect(model.parameters[4].name == "transformer.h.0.attn.c_attn.weight")
        #expect(model.parameters[4].shape == [8, 24])
        let groups = model.parameters.indices.map(model.parameterGroup(of:))
        #expect(groups.prefix(3) == ["embedding", "embedding", "h.0"])
        #expect(AdamW(model: model).groups == ["embedding", "h.0", "h.1", "final"])
    }

    @Test("A prediction depends on no later token")
    func attentionIsCausal() throws {
        let run = Run(.microBytes, seed: 6)
        for parameter in run.model.parameters where parameter.shape.count == 2 {
            for i in 0..<parameter.count { parameter[i] *= 20 }
        }
        let (text, targets) = (Array(licence[40..<43]), Array(licence[41..<44]))
        let unpadded = try run.model.loss(inputs: text, targets: targets, batch: 1)
        // These logits come from passes with the rest of the context filled up behind.
        let padded = try (1...3).map { count in
            let logits = try run.model.nextTokenLogits(after: text.prefix(count))
            let chosen = Double(logits[Int(targets[count - 1])])
            return logits.softmax() - chosen
        }
        #expect(abs(Double(unpadded) - padded.reduce(0, +) / 3) < 1e-5)
    }

    @Test("Dropout drops its share and keeps the expectation")
    func dropoutKeepsExpectation() {
        let (x, mask) = (Matrix(zeros: "x", 100, 100), Matrix(zeros: "mask", 100, 100))
        x.tensor.fill(1)
        var random = RandomGenerator(seed: 3)
        Dropout(probability: 0.2).forward(x, mask: mask, random: &random)
        let values = x.tensor.values
        #expect(abs(Double(values.count { $0 == 0 }) / 10_000 - 0.2) < 0.02)
        #expect(abs(values.reduce(0, +) / 10_000 - 1) < 0.02)
    }

    @Test("Sampling repeats for a seed and honours a temperature of zero")
    func sampling() throws {
        var run = Run(.microBytes, seed: 8)
        _ = try run.train(steps: 3)
        let prompt = Array("The GNU General".utf8)
        func draw(_ seed: UInt64, _ temperature: Float) throws -> [UInt8] {
            var random = RandomGenerator(seed: seed)
            return try sample(
                from: run.model, prompt: prompt, count: 12, temperature: temperature,
                random: &random)
        }
        #expect(try draw(1, 1).count == 12)
        #expect(try draw(1, 1) == draw(1, 1))
        #expect(try draw(1, 1) != draw(2, 1))
        #expect(try draw(1, 0) == draw(2, 0))
    }

    @Test("The exponential is accurate over its range")
    func exponentialIsAccurate() {
        for i in -860...870 {
            let x = Float(i) / 10
            let exact = exp(Double(x))
            #expect(abs(Double(exponential(x)) - exact) < 1e-6 * exact, "e^\(x)")
        }
        #expect(exponential(-1000) < 1e-37)
        #expect(exponential(0) == 1)
    }
}

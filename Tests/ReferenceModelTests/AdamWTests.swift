import Foundation
import ReferenceModel
import Testing

@Suite(.timeLimit(.minutes(20)))
struct AdamWTests {
    private let hyperparameters = AdamW.Hyperparameters(
        beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.2)

    /// The textbook update of one value, in double precision.
    private struct Scalar {
        var p, m, v: Double

        mutating func update(_ g: Double, step: Int, rate: Double, decay: Double) {
            m = 0.8 * m + 0.2 * g
            v = 0.95 * v + 0.05 * g * g
            let mean = m / (1 - pow(0.8, Double(step)))
            let square = v / (1 - pow(0.95, Double(step)))
            p -= rate * mean / (square.squareRoot() + 1e-6) + rate * decay * p
        }
    }

    @Test("Updates follow the scalar definition; only matrices decay", arguments: [[2, 3], [6]])
    func matchesScalarReference(shape: [Int]) {
        let parameter = Tensor(name: "p", shape: shape)
        let gradient = Tensor(name: "g", shape: shape)
        let optimizer = AdamW(
            parameters: [parameter], gradients: [gradient], groupOfParameter: ["all"],
            hyperparameters: hyperparameters)
        var random = RandomGenerator(seed: 4)
        for i in 0..<6 { parameter[i] = random.nextGaussian() }
        var reference = parameter.values.map { Scalar(p: Double($0), m: 0, v: 0) }
        for step in 1...5 {
            let rate = 0.1 / Float(step)
            for i in 0..<6 {
                gradient[i] = random.nextGaussian()
                reference[i].update(
                    Double(gradient[i]), step: step, rate: Double(rate),
                    decay: shape.count == 2 ? 0.2 : 0)
            }
            optimizer.beginStep()
            optimizer.update(learningRate: rate)
        }
        expectClose(parameter, reference.map(\.p))
        expectClose(optimizer.firstMoments[0], reference.map(\.m))
        expectClose(optimizer.secondMoments[0], reference.map(\.v))
        #expect(optimizer.step == 5)
        #expect(optimizer.firstMoments[0].name == "optimizer.m.p")
        #expect(optimizer.secondMoments[0].name == "optimizer.v.p")
    }

    @Test("Group by group, in any order, equals the whole update bit for bit")
    func groupsEqualWhole() throws {
        let (whole, grouped) = (try gradientRun(), try gradientRun())
        for _ in 0..<2 {
            whole.optimizer.beginStep()
            whole.optimizer.update(learningRate: 0.01)
            grouped.optimizer.beginStep()
            for group in grouped.optimizer.groups.reversed() {
                grouped.optimizer.update(group: group, learningRate: 0.01)
            }
        }
        #expect(whole.tensors.map(\.bits) == grouped.tensors.map(\.bits))
    }

    @Test("A group's update changes all of that group and nothing else")
    func groupTouchesOnlyItself() throws {
        let run = try gradientRun()
        let before = run.model.parameters.map(\.bits)
        run.optimizer.beginStep()
        run.optimizer.update(group: "h.1", learningRate: 0.01)
        for (i, parameter) in run.model.parameters.enumerated() {
            let isMember = run.model.parameterGroup(of: i) == "h.1"
            #expect((parameter.bits != before[i]) == isMember, "\(parameter.name)")
            #expect((run.optimizer.firstMoments[i].values.contains { $0 != 0 }) == isMember)
        }
    }

    @Test("Clipping scales to the maximal norm and leaves smaller gradients alone")
    func clipping() {
        let gradients = [Tensor(name: "a", shape: [1]), Tensor(name: "b", shape: [2])]
        let optimizer = AdamW(
            parameters: [Tensor(name: "p", shape: [1]), Tensor(name: "q", shape: [2])],
            gradients: gradients, groupOfParameter: ["x", "y"])
        gradients[0][0] = 3
        gradients[1][1] = -4
        #expect(optimizer.clipGradients(maxNorm: 6) == 5)
        #expect(gradients.map(\.values) == [[3], [0, -4]])
        #expect(optimizer.clipGradients(maxNorm: 2.5) == 5)
        #expect(gradients.map(\.values) == [[1.5], [0, -2]])
    }

    private func gradientRun() throws -> Run {
        let run = Run(.microBytes, seed: 12)
        let text = Array(licence[100..<117])
        _ = try run.model.lossAndGradients(
            inputs: Array(text.dropLast()), targets: Array(text.dropFirst()), batch: 2)
        return run
    }

    private func expectClose(_ tensor: Tensor, _ reference: [Double]) {
        for (value, exact) in zip(tensor.values, reference) {
            #expect(abs(Double(value) - exact) < 1e-5)
        }
    }
}

import ReferenceModel
import Testing

@Suite(.timeLimit(.minutes(20)))
struct TrainingTests {
    @Test("The loss on a real text falls")
    func lossFalls() throws {
        var run = Run(.tiny, seed: 1, peak: 1e-2)
        let losses = try run.train(steps: 40, batch: 4)
        // An untrained model guesses: ln 256 = 5.55 nats.
        #expect(abs(losses[0] - 5.55) < 0.2)
        #expect(losses.suffix(10).reduce(0, +) / 10 < 3.8, "\(losses)")
    }

    @Test("Equal seeds give equal bits, another seed does not")
    func twinsAreIdentical() throws {
        var (one, two, other) = (
            Run(.microBytes, seed: 3), Run(.microBytes, seed: 3), Run(.microBytes, seed: 4)
        )
        #expect(try one.train(steps: 6) == two.train(steps: 6))
        _ = try other.train(steps: 6)
        #expect(one.tensors.map(\.bits) == two.tensors.map(\.bits))
        #expect(one.tensors.map(\.bits) != other.tensors.map(\.bits))
        #expect(one.random == two.random)
    }

    @Test("A run resumed from its saved state continues bit for bit")
    func resumedRunContinues() throws {
        var whole = Run(.microBytes, seed: 9)
        _ = try whole.train(steps: 3)
        var resumed = Run(.microBytes, seed: 10)
        resumed.random = try recoded(whole.random)
        resumed.cursor = try recoded(whole.cursor)
        resumed.schedule = try recoded(whole.schedule)
        resumed.optimizer.hyperparameters = try recoded(whole.optimizer.hyperparameters)
        resumed.optimizer.step = whole.optimizer.step
        for (to, from) in zip(resumed.tensors, whole.tensors) { to.copyValues(of: from) }
        #expect(try whole.train(steps: 3) == resumed.train(steps: 3))
        #expect(whole.tensors.map(\.bits) == resumed.tensors.map(\.bits))
    }

    @Test("Dropout depends on the random state")
    func dropoutDraws() throws {
        let run = Run(.microBytes, seed: 2)
        let text = Array(licence[0..<8])
        let losses = try [1, 2].map { (seed: UInt64) in
            var random = RandomGenerator(seed: seed)
            return try run.model.lossAndGradients(
                inputs: text, targets: text, batch: 1, dropout: 0.5, random: &random)
        }
        #expect(losses[0] != losses[1])
    }
}

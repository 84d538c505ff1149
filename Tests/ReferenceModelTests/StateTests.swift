import Foundation
import ReferenceModel
import Testing

@Suite(.timeLimit(.minutes(20)))
struct StateTests {
    @Test("A recoded generator continues identically, also between two halves of a Gaussian pair")
    func generatorContinues() throws {
        for draws in 0..<4 {
            var original = RandomGenerator(seed: 42)
            for _ in 0..<draws { _ = original.nextGaussian() }
            var copy = try recoded(original)
            #expect(copy == original)
            for _ in 0..<5 {
                #expect(copy.nextGaussian() == original.nextGaussian())
                #expect(copy.next() as UInt64 == original.next())
            }
        }
    }

    @Test("Gaussians have mean zero and variance one, uniforms fill the unit interval")
    func distributions() {
        var random = RandomGenerator(seed: 1)
        let count = 20_000
        let gaussians = (0..<count).map { _ in Double(random.nextGaussian()) }
        let mean = gaussians.reduce(0, +) / Double(count)
        let variance = gaussians.reduce(0) { $0 + $1 * $1 } / Double(count)
        #expect(abs(mean) < 0.03)
        #expect(abs(variance - 1) < 0.05)
        let uniforms = (0..<count).map { _ in random.nextUniform() }
        #expect(uniforms.allSatisfy { $0 >= 0 && $0 < 1 })
        #expect(abs(uniforms.reduce(0, +) / Float(count) - 0.5) < 0.02)
    }

    @Test("The first outputs for a known state follow the definition of xoshiro256**")
    func knownOutputs() throws {
        // By hand: rotl(2 * 5, 7) * 9 = 11520; the state becomes (7, 0, 262146, 6 * 2^45), whose
        // second word gives 0 and turns into 7 ^ 262146 = 262149; rotl(262149 * 5, 7) * 9 follows.
        let text = Data(#"{"s0":1,"s1":2,"s2":3,"s3":4}"#.utf8)
        var random = try JSONDecoder().decode(RandomGenerator.self, from: text)
        #expect(random.next() as UInt64 == 11520)
        #expect(random.next() as UInt64 == 0)
        #expect(random.next() as UInt64 == 1_509_978_240)
    }

    @Test("A recoded cursor continues identically, across the end of an epoch")
    func cursorContinues() throws {
        let text = Array(licence[0..<100])
        var original = DataCursor(seed: 5)
        for _ in 0..<12 {
            var copy = try recoded(original)
            #expect(copy == original)
            let batch = original.nextBatch(from: text, batch: 3, context: 7)
            #expect(copy.nextBatch(from: text, batch: 3, context: 7) == batch)
        }
        #expect(original.epoch == 2)
    }

    @Test("The schedule warms up, decays and survives coding")
    func schedule() throws {
        let original = LearningRateSchedule(
            peak: 0.3, floor: 0.1, warmupSteps: 10, totalSteps: 110)
        let schedule = try recoded(original)
        #expect(schedule == original)
        #expect(abs(schedule.rate(at: 0) - 0.03) < 1e-7)
        #expect(schedule.rate(at: 9) == 0.3)
        #expect(schedule.rate(at: 10) == 0.3)
        #expect(abs(schedule.rate(at: 60) - 0.2) < 1e-6)
        #expect(schedule.rate(at: 110) == 0.1)
        #expect(schedule.rate(at: 1000) == 0.1)
        #expect((10..<109).allSatisfy { schedule.rate(at: $0) > schedule.rate(at: $0 + 1) })
    }
}

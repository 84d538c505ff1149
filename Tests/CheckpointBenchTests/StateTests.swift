internal import CheckpointCodecs
import CheckpointFormat
import CheckpointState
import Testing

@testable import CheckpointBench

/// The states that are made up, and the loop that changes them.
@Suite(.timeLimit(.minutes(20))) struct StateTests {
    @Test(arguments: [
        (SyntheticState.gpt2, 444, 1_493_277_696), (.bf16, 448, 1_444_466_688), (.small, 20_000, 649_700_000),
        (.lora, 721, 1_485_570_048),
    ])
    func statesHaveTheSizeTheyClaim(_ state: SyntheticState, _ count: Int, _ bytes: Int) {
        let tensors = state.tensors(scale: 1)
        #expect(tensors.count == count && Set(tensors.map(\.name)).count == count)
        let total = tensors.reduce(0) { $0 + $1.byteCount }
        #expect(abs(total - bytes) < bytes / 1000)
    }

    @Test func gpt2HasTheParametersOfItsSmallestModel() {
        let parameters = SyntheticState.gpt2.tensors(scale: 1).filter { $0.role == .parameter }
        #expect(parameters.count == 148)
        #expect(parameters.reduce(0) { $0 + $1.byteCount / 4 } == 124_439_808)
        #expect(parameters.first { $0.name == "model.h.11.mlp.c_fc.weight" }?.shape == [768, 3072])
        #expect(parameters.contains { $0.name == "model.h.0.ln_2.bias" } && parameters.contains { $0.name == "model.ln_f.weight" })
    }

    @Test func smallTensorsAreOneTo64Kilobytes() {
        let sizes = SyntheticState.small.tensors(scale: 1).map(\.byteCount)
        #expect(sizes.allSatisfy { (1000...64_000).contains($0) } && Set(sizes).count > 10_000)
    }

    @Test(arguments: SyntheticState.allCases, [0.001, 0.01])
    func scaleShrinksTheBytes(_ state: SyntheticState, _ scale: Double) {
        let full = state.tensors(scale: 1).reduce(0) { $0 + $1.byteCount }
        let scaled = state.tensors(scale: scale).reduce(0) { $0 + $1.byteCount }
        #expect((0.8...1.3).contains(Double(scaled) / Double(full) / scale))
    }

    @Test func valuesLookLikeWeightsAndMoments() throws {
        let state = try TrainingState(.gpt2, scale: 0.001)
        for tensor in state.tensors where tensor.region.count >= 40_000 {
            let values = stride(from: 0, to: tensor.region.count, by: 4).map { offset in
                Float(bitPattern: tensor.region[offset..<offset + 4].array.reversed().reduce(0) { $0 << 8 | UInt32($1) })
            }
            let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
            let deviation = (values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(values.count)).squareRoot()
            switch tensor.specification.values {
            case .weights: #expect(abs(mean) < 1e-3 && abs(deviation - 0.02) < 1e-3)
            case .means: #expect(abs(mean) < 5e-5 && abs(deviation - 0.001) < 5e-5)
            case .squares: #expect(abs(mean - 1e-6) < 1e-7 && values.allSatisfy { $0 >= 0 })
            }
        }
    }

    @Test func noTwoTensorsAreAlike() throws {
        for state in [SyntheticState.gpt2, .bf16, .small] {
            let hashes = try TrainingState(state, scale: 0.001).tensors.filter { $0.region.count >= 64 }.map(\.region.hash128)
            #expect(Set(hashes).count == hashes.count && !hashes.isEmpty)
        }
    }

    @Test(arguments: SyntheticState.allCases)
    func anUpdateChangesEveryTrainedElementAndCanBeTakenBack(_ synthetic: SyntheticState) throws {
        let state = try TrainingState(synthetic, scale: 0.001)
        let trainer = try Trainer(state, threads: 3, computeSeconds: 0)
        let before = state.tensors.map(\.region.array)
        for _ in 0..<3 {
            for group in trainer.groups.indices { trainer.update(group: group) }
            trainer.finishUpdate()
        }
        for (tensor, old) in zip(state.tensors, before) {
            let (width, new) = (tensor.specification.type.width, tensor.region.array)
            let isChanged = stride(from: 0, to: old.count, by: width).map { old[$0..<$0 + width] != new[$0..<$0 + width] }
            #expect(isChanged.allSatisfy { $0 != tensor.specification.isFrozen })
        }
        trainer.undo(3)
        #expect(state.tensors.map(\.region.array) == before)
    }

    @Test func scribblingChangesEveryByte() throws {
        let state = try TrainingState(.small, scale: 0.0005)
        let before = state.memory.array
        state.scribble()
        #expect(zip(state.memory.array, before).allSatisfy { $0 != $1 })
    }

    @Test func groupsFollowTheBlocksOfTheModel() throws {
        let groups = try TrainingState(.bf16, scale: 0.0005).groups.map(\.name)
        #expect(groups.count == 11 * 4)
        #expect(
            groups[4..<8] == ["h.0.model", "h.0.optimizer.master", "h.0.optimizer.m", "h.0.optimizer.v"])
        let lora = try TrainingState(.lora, scale: 0.0005)
        #expect(lora.groups.allSatisfy { $0.name != "base" } && lora.groups.count == 24 * 3)
    }

    @Test func computingTakesAboutAsLongAsAskedFor() throws {
        let state = try TrainingState(.small, scale: 0.0005)
        let trainer = try Trainer(state, threads: 1, computeSeconds: 0.05)
        let times = (0..<5).map { _ in
            let began = ContinuousClock.now
            trainer.compute()
            return (ContinuousClock.now - began).seconds
        }
        // A busy machine may double it, not make it nothing.
        #expect((times.max() ?? 0) > 0.02)
    }
}

import CheckpointFormat
import Testing

@testable import CheckpointExchange

/// The step that files name.
@Suite(.timeLimit(.minutes(20))) struct ForeignStepTests {
    private typealias Member = JSONValue.Member

    private func step(_ name: String, _ members: Member...) -> Int? {
        var checkpoint = ForeignCheckpoint(.pt)
        checkpoint.objects = [ForeignObject(name, .object(members))]
        return checkpoint.step
    }

    private let progress = Member("global_step", .integer(900))

    /// In a file of PyTorch everything that is no tensor is one object.
    @Test func entriesBesideTheTensors() {
        #expect(step("extra", Member("epoch", .integer(4)), Member("step", .integer(800))) == 800)
        #expect(step("extra", progress, Member("step", .string("soon"))) == 900)
        #expect(step("extra", progress, Member("iteration", .integer(7))) == 900)
        #expect(step("extra", Member("step", .integer(-1))) == nil)
        #expect(step("extra", Member("epoch", .integer(4))) == nil)
        #expect(step("other", progress) == nil)
    }

    /// A distributed checkpoint joins keys with dots; other files nest what they lead to.
    @Test func entriesOfATrainer() {
        #expect(step("extra", Member("trainer_state", .object([progress]))) == 900)
        #expect(step("extra", Member("trainer_state.global_step", .integer(900))) == 900)
        #expect(step("extra", Member("trainer_state", .integer(900))) == nil)
    }

    @Test func metadataOfSafetensors() {
        let own = Member("ckpt.step", .string("3"))
        #expect(step("safetensors_metadata", Member("step", .string("12000"))) == 12000)
        #expect(step("safetensors_metadata", Member("step", .string("12000")), own) == 3)
        #expect(step("extra", own) == nil)
    }
}

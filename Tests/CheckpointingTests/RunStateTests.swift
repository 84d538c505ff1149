import CheckpointFormat
import Testing

@testable import Checkpointing

@Suite("State of a run", .timeLimit(.minutes(20)))
struct RunStateTests {
    private func id(_ milliseconds: UInt64) -> RunID {
        RunID.next(clockMilliseconds: milliseconds, after: nil)
    }

    private func state(_ restart: RunID) -> RunState {
        let place = CheckpointOrigin(
            kind: .training, store: .random(), run: restart, branch: restart, restart: 1)
        return RunState(place: place, isUnresumed: true)
    }

    private func parent(_ run: RunID) -> Manifest.Parent {
        Manifest.Parent(id: .random(), run: run, step: 5)
    }

    @Test("A restart that resumes before it saves keeps its id")
    func first() {
        let (old, own, next) = (id(1000), id(2000), id(3000))
        var state = state(own)
        state.continues(from: parent(old), branch: old, next: next, newest: old)
        #expect(state.restart == own && state.place.branch == old && state.place.restart == 1)
        #expect(!state.isUnresumed)
    }

    @Test("One that has saved ends, and the next begins")
    func second() {
        let (old, own, next) = (id(1000), id(2000), id(3000))
        var state = state(own)
        state.hasSaved = true
        state.continues(from: parent(old), branch: nil, next: next, newest: own)
        #expect(state.restart == next && state.place.branch == next && state.place.restart == 2)
    }

    @Test("Checkpoints of a machine whose clock was ahead are not newer than the saves that follow")
    func clock() {
        let (own, ahead) = (id(2000), id(9000))
        let next = RunID.next(clockMilliseconds: 2100, after: ahead)
        var state = state(own)
        state.continues(from: parent(ahead), branch: ahead, next: next, newest: ahead)
        #expect(state.restart == next && state.restart > ahead)
        // It is the same life of the process.
        #expect(state.place.restart == 1 && state.place.branch == ahead)
    }
}

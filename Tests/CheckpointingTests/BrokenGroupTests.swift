import CheckpointFormat
import CheckpointIO
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import SystemPackage
import Testing

/// Process groups that fail or are late. An error of the group costs time, and nothing else.
@Suite("Broken process groups", .timeLimit(.minutes(10)))
struct BrokenGroupTests: RankedCheckpointing {
    /// A group one of whose calls fails on one rank, for which the others then wait.
    private struct FailingGroup: ProcessGroup {
        struct Failed: Error {}

        let member: InProcessGroup.Member
        let failingCall: Int?
        let calls = Monitor(0, rank: .unchecked)
        var rank: Int { member.rank }
        var worldSize: Int { member.worldSize }

        func allGather(
            _ bytes: [UInt8], deadline: ContinuousClock.Instant
        ) throws -> [[UInt8]] {
            let call = calls.withLock { calls in
                defer { calls += 1 }
                return calls
            }
            if call == failingCall { throw Failed() }
            return try member.allGather(bytes, deadline: deadline)
        }
    }

    /// Far longer than anything here takes, however busy the machine is.
    private static let timeout = Duration.seconds(240)

    private func open(_ files: InMemoryFileSystem, _ group: any ProcessGroup) throws -> CheckpointStore {
        var ranks = RankGroup(group)
        (ranks.timeout, ranks.startTimeout) = (Self.timeout, Self.timeout)
        ranks.patience = .seconds(3)
        return try CheckpointStore(
            fileSystem: files, root: "/store", access: .writing, catalog: .nowhere, ranks: ranks)
    }

    /// Calls 0 to 2 are those of the start; then there are two for each save.
    @Test(
        "Saves and joint restores go on after any call of the group has failed",
        arguments: 3..<9)
    func anyCall(_ failingCall: Int) throws {
        let files = InMemoryFileSystem()
        let (group, options) = (InProcessGroup(3), options())
        let start = ContinuousClock.now
        let errors = try onEachRank(3) { rank in
            let broken = FailingGroup(
                member: group.member(rank), failingCall: rank == failingCall % 3 ? failingCall : nil)
            let store = try open(files, broken)
            let state = try RankState(rank, of: 3)
            let checkpointer = try Checkpointer(
                store: store, state: state.provider, options: options)
            for step in 1...3 {
                checkpointer.mutate { state.update(to: step) }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.restore(.step(2))
            #expect(state.isAt(2), "rank \(rank)")
            checkpointer.mutate { state.update(to: 4) }
            try checkpointer.save(step: 4).wait()
            try checkpointer.close()
            try store.close()
            if let call = broken.failingCall {
                #expect(broken.calls.withLock { $0 } == call + 1, "the group has not failed there")
            }
        }
        #expect(errors.isEmpty, "\(errors)")
        #expect(ContinuousClock.now - start < Self.timeout / 2, "a wait for the group did not end")
        #expect(try steps(of: openStore(files, for: .reading)) == [4, 3, 2, 1])
    }

    @Test("A rank that comes late waits for nobody whom the group has lost", arguments: 0..<3)
    func late(_ lateRank: Int) throws {
        let files = InMemoryFileSystem()
        let (group, options) = (InProcessGroup(3), options())
        let errors = try onEachRank(3) { rank in
            let store = try open(files, group.member(rank))
            let state = try RankState(rank, of: 3)
            let checkpointer = try Checkpointer(
                store: store, state: state.provider, options: options)
            for step in 1...4 {
                checkpointer.mutate { state.update(to: step) }
                // Longer than the others wait for the group.
                if rank == lateRank, step == 2 { Thread.sleep(forTimeInterval: 5) }
                let begin = ContinuousClock.now
                try checkpointer.save(step: step).wait()
                if rank == lateRank {
                    let waited = ContinuousClock.now - begin
                    #expect(waited < Self.timeout / 2, "step \(step) took \(waited)")
                }
            }
            try checkpointer.restore(.step(3))
            #expect(state.isAt(3), "rank \(rank)")
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        #expect(try steps(of: openStore(files, for: .reading)) == [4, 3, 2, 1])
    }

    @Test("A group that fails at the start is named")
    func atTheStart() throws {
        let files = InMemoryFileSystem()
        let group = InProcessGroup(2)
        let errors = try onEachRank(2) { rank in
            let broken = FailingGroup(
                member: group.member(rank), failingCall: rank == 1 ? 0 : nil)
            var ranks = RankGroup(broken)
            ranks.startTimeout = .milliseconds(200)
            let store = try CheckpointStore(
                fileSystem: files, root: "/store", access: .writing, catalog: .nowhere,
                ranks: ranks)
            _ = try Checkpointer(
                store: store, state: RankState(rank, of: 2).provider, options: options())
        }
        for rank in 0..<2 {
            let error = errors[rank] as? CheckpointError
            #expect(error?.code == .timedOut && error?.message.contains("process group") == true)
        }
    }
}

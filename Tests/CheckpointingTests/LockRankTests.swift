import CheckpointIO
import Foundation
import Testing

@Suite("Lock ranks", .timeLimit(.minutes(20)))
struct LockRankTests {
    @Test("the pipeline may take locks of capture and leaves, and a leaf nothing")
    func table() {
        #expect(LockRank.obstacle(holding: [.pipeline], taking: .guarded) == nil)
        #expect(LockRank.obstacle(holding: [.pipeline], taking: .leaf) == nil)
        #expect(LockRank.obstacle(holding: [.pipeline], taking: .history) == .pipeline)
        #expect(LockRank.obstacle(holding: [.history], taking: .save) == nil)
        #expect(LockRank.obstacle(holding: [.leaf], taking: .leaf) == .leaf)
        #expect(LockRank.obstacle(holding: [], taking: .retention) == nil)
    }

    @Test("every lock that is held has to allow the next one")
    func allHeld() {
        #expect(LockRank.obstacle(holding: [.retention, .uses], taking: .pool) == .uses)
        #expect(LockRank.obstacle(holding: LockRank.allCases, taking: .unchecked) == nil)
    }

    @Test("the table has no circle: no two ranks may be taken in both orders, nor one twice")
    func noCircle() {
        var reached = Set<LockRank>()
        func walk(_ rank: LockRank, _ path: [LockRank]) {
            #expect(!path.contains(rank), "\(path) -> \(rank)")
            guard !path.contains(rank) else { return }
            reached.insert(rank)
            let all = LockRank.allCases.filter { $0 != .unchecked }
            for next in all where rank.mayTake(next) { walk(next, path + [rank]) }
        }
        for rank in LockRank.allCases where rank != .unchecked { walk(rank, []) }
        #expect(reached.count == LockRank.allCases.count - 1)
    }

    @Test("a thread's locks are known while it holds them")
    func held() {
        let (outer, inner) = (Monitor(0, rank: .history), Monitor(0, rank: .save))
        outer.withLock { _ in
            #expect(HeldLocks.ranks == [.history])
            inner.withLock { _ in #expect(HeldLocks.ranks == [.history, .save]) }
        }
        #expect(HeldLocks.ranks.isEmpty)
    }

    @Test("a debug build ends when a thread takes locks in the wrong order")
    func wrongOrder() async {
        await #expect(processExitsWith: .failure) {
            let (pipeline, history) = (Monitor(0, rank: .pipeline), Monitor(0, rank: .history))
            pipeline.withLock { _ in history.withLock { _ in } }
        }
    }
}

import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointSegments
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import SystemPackage
import Testing

/// Saves of several ranks.
@Suite("Several ranks", .timeLimit(.minutes(20)))
struct RanksTests: RankedCheckpointing {
    @Test(
        "Ranks save together, and others resume in another number", arguments: [false, true])
    func elastic(_ hasGroup: Bool) throws {
        let files = InMemoryFileSystem()
        let options = options()
        for (launch, worldSize) in [4, 3, 2].enumerated() {
            let group = hasGroup ? InProcessGroup(worldSize) : nil
            let errors = try onEachRank(worldSize) { rank in
                let store = try open(
                    files, rank, of: worldSize, launch: "job.\(launch)", group: group)
                let state = try RankState(rank, of: worldSize)
                let checkpointer = try Checkpointer(
                    store: store, state: state.provider, options: options)
                let start = launch * 2
                let report = try checkpointer.resume()
                #expect(report?.step == (launch == 0 ? nil : start))
                #expect(launch == 0 || state.isAt(start), "rank \(rank) of \(worldSize)")
                for step in start + 1...start + 2 {
                    checkpointer.mutate { state.update(to: step) }
                    let ticket = try checkpointer.save(step: step, metrics: ["loss": 1])
                    try ticket.wait()
                }
                try checkpointer.close()
                try store.close()
            }
            #expect(errors.isEmpty, "\(errors)")
        }
        let store = try openStore(files, for: .reading)
        #expect(try steps(of: store) == [6, 5, 4, 3, 2, 1])
        #expect(try store.verify().findings.isEmpty)
        // One process reads the whole tensors.
        let rows = try OwnedTensor<Float>(repeating: 0, shape: RankState.shape)
        try store.restore(.step(3), into: TensorState("rows", rows.view), mode: .subset)
        #expect(rows.values == (0..<480).map { RankState.value($0, 3) })
    }

    /// Megatron#1435: a save that fails ends the training. torchtitan#3065: it hangs.
    @Test("A rank that does not save is named, and the others go on with the next step")
    func missing() throws {
        let files = InMemoryFileSystem()
        let options = options()
        let failures = Box(0)
        let errors = try onEachRank(3) { rank in
            let store = try open(files, rank, of: 3, launch: "job", timeout: .seconds(2))
            let state = try RankState(rank, of: 3)
            let checkpointer = try Checkpointer(
                store: store, state: state.provider, options: options)
            checkpointer.mutate { state.update(to: 1) }
            if rank != 1 {
                let ticket = try checkpointer.save(step: 1)
                let error = #expect(throws: CheckpointError.self) { try ticket.wait() }
                #expect(error?.code == .timedOut)
                #expect(error?.message.hasSuffix(": 1") == true, "\(String(describing: error))")
                failures.withLock { $0 += 1 }
            }
            #expect(eventually { failures.value == 2 })
            checkpointer.mutate { state.update(to: 2) }
            try checkpointer.save(step: 2).wait()
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        let store = try openStore(files, for: .reading)
        #expect(try steps(of: store) == [2])
    }

    @Test("Copies that have diverged fail the save on all ranks, and name tensor and ranks")
    func diverged() throws {
        let files = InMemoryFileSystem()
        let options = options()
        let errors = try onEachRank(3) { rank in
            let store = try open(files, rank, of: 3, launch: "job")
            let state = try RankState(rank, of: 3)
            let checkpointer = try Checkpointer(
                store: store, state: state.provider, options: options)
            checkpointer.mutate {
                state.update(to: 1)
                if rank == 2 { state.bias.withElements { $0[4] = 77 } }
            }
            let ticket = try checkpointer.save(step: 1)
            let error = #expect(throws: CheckpointError.self) { try ticket.wait() }
            #expect(error?.message.contains("ranks 0 and 2 both hold") == true)
            #expect(error?.message.contains("tensor bias") == true)
            try? checkpointer.close()  // tells of the failure again
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        #expect(try steps(of: openStore(files, for: .reading)).isEmpty)
    }

    @Test("Ranks that are started alone or twice do not wait for ever")
    func alone() throws {
        let files = InMemoryFileSystem()
        let late = #expect(throws: CheckpointError.self) {
            try open(files, 1, of: 2, launch: "job", timeout: .milliseconds(50))
        }
        #expect(late?.code == .timedOut)
        #expect(throws: CheckpointError.self) {
            try open(files, 2, of: 2, launch: "job", timeout: .milliseconds(50))
        }
        // A world of one is not a group: nothing is left of it in the store.
        let store = try open(files, 0, of: 1, launch: "job")
        let state = try RankState(0, of: 1)
        let checkpointer = try Checkpointer(store: store, state: state.provider, options: options())
        checkpointer.mutate { state.update(to: 1) }
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        #expect(try files.kind(of: store.directories.parts) == nil)
        #expect(try store.files.loadFile(store.files.names()[0]).manifest.worldSize == 1)
        let columns = try OwnedTensor<Float>(repeating: 0, shape: RankState.shape)
        try store.restore(.latest, into: TensorState("columns", columns.view), mode: .subset)
        #expect(columns.values == (0..<480).map { RankState.value($0, 1) })
    }

    @Test("A launch that is not new is refused, as are policies that skip saves")
    func secondLaunch() throws {
        let files = InMemoryFileSystem()
        let options = options()
        for isNew in [true, false] {
            let errors = try onEachRank(2) { rank in
                let store = try open(files, rank, of: 2, launch: "job", timeout: .seconds(1))
                let state = try RankState(rank, of: 2)
                try Checkpointer(store: store, state: state.provider, options: options).close()
                try store.close()
            }
            let first = errors[0] as? CheckpointError
            #expect(isNew ? errors.isEmpty : errors.count == 2, "\(errors)")
            #expect(isNew || first?.code == .timedOut || first?.code == .misuse)
            let second = errors[1] as? CheckpointError
            #expect(isNew || second?.code == .misuse)
            #expect(isNew || second?.message.contains("rank 1 of launch job") == true)
        }
        let errors = try onEachRank(2) { rank in
            let store = try open(files, rank, of: 2, launch: "skipping")
            var options = options
            options.backpressure = .skip
            let state = try RankState(rank, of: 2)
            _ = try Checkpointer(store: store, state: state.provider, options: options)
        }
        #expect(errors.count == 2)
        for error in errors.values { #expect((error as? CheckpointError)?.code == .misuse) }
    }

    /// A group that notes which threads call it.
    private struct ObservedGroup: ProcessGroup {
        let member: InProcessGroup.Member
        let threads: Box<Set<UInt>>
        var rank: Int { member.rank }
        var worldSize: Int { member.worldSize }

        func allGather(
            _ bytes: [UInt8], deadline: ContinuousClock.Instant
        ) throws -> [[UInt8]] {
            threads.withLock { _ = $0.insert(UInt(pthread_self())) }
            return try member.allGather(bytes, deadline: deadline)
        }
    }

    @Test("A save waits for nobody: the trainer's thread meets the others only at the start")
    func nothingCollective() throws {
        let files = InMemoryFileSystem()
        let (group, options) = (InProcessGroup(2), options())
        let errors = try onEachRank(2) { rank in
            let threads = Box<Set<UInt>>([])
            var ranks = RankGroup(ObservedGroup(member: group.member(rank), threads: threads))
            ranks.timeout = .seconds(60)
            let store = try CheckpointStore(
                fileSystem: files, root: "/store", access: .writing, catalog: .nowhere,
                ranks: ranks)
            let state = try RankState(rank, of: 2)
            let checkpointer = try Checkpointer(
                store: store, state: state.provider, options: options)
            threads.withLock { $0 = [] }
            for step in 1...4 {
                checkpointer.mutate { state.update(to: step) }
                try checkpointer.save(step: step)
            }
            try checkpointer.close()
            let callers = threads.value
            #expect(!callers.isEmpty && !callers.contains(UInt(pthread_self())))
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        #expect(try steps(of: openStore(files, for: .reading)) == [4, 3, 2, 1])
    }

    @Test("A save that cannot begin on one rank fails on all, and the next one succeeds")
    func cannotBegin() throws {
        let files = InMemoryFileSystem()
        let options = options()
        let errors = try onEachRank(3) { rank in
            let store = try open(files, rank, of: 3, launch: "job", timeout: .seconds(60))
            let state = try RankState(rank, of: 3)
            let fails = Box(false)
            struct Broken: Error {}
            let provider = CompositeState {
                state.provider
                EncodedState(
                    "loader.rank\(rank)", role: .data,
                    freeze: {
                        if rank == 1, fails.value { throw Broken() }
                        return { [1] }
                    }, restore: { _ in })
            }
            let checkpointer = try Checkpointer(store: store, state: provider, options: options)
            checkpointer.mutate { state.update(to: 1) }
            fails.withLock { $0 = true }
            let error = #expect(throws: CheckpointError.self) {
                try checkpointer.save(step: 1).wait()
            }
            #expect(rank == 1 || error?.message.contains("rank 1 could not save") == true)
            fails.withLock { $0 = false }
            checkpointer.mutate { state.update(to: 2) }
            try checkpointer.save(step: 2).wait()
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        #expect(try steps(of: openStore(files, for: .reading)) == [2])
    }
}

import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointSharding
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Synchronization
import SystemPackage
import Testing

/// Faults that users of other libraries have met with several ranks.
@Suite("Faults of others with several ranks", .timeLimit(.minutes(20)))
struct RankedBugTests: RankedCheckpointing {
    /// Megatron-LM#4378 and #4448: a plan that is kept from save to save drops what is new.
    @Test("A tensor that is new on one rank or on all is in the next checkpoint")
    func newTensor() throws {
        let files = InMemoryFileSystem()
        let options = options()
        let errors = try onEachRank(2) { rank in
            let store = try open(files, rank, of: 2, launch: "job")
            let state = try RankState(rank, of: 2)
            let names = Box<[String]>([])
            let moment = try OwnedTensor<Float>(repeating: Float(rank), shape: [600])
            let shared = try OwnedTensor<Float>(repeating: 5, shape: [600])
            struct Growing: StateProvider {
                let base: CompositeState
                let names: Box<[String]>
                let moment: TensorView
                let shared: TensorView
                func describe(to inventory: inout StateInventory) throws {
                    try base.describe(to: &inventory)
                    for name in names.value {
                        let view = name == "shared" ? shared : moment
                        try TensorState(name, view).describe(to: &inventory)
                    }
                }
            }
            let checkpointer = try Checkpointer(
                store: store,
                state: Growing(
                    base: state.provider, names: names, moment: moment.view, shared: shared.view),
                options: options)
            for step in 1...4 {
                checkpointer.mutate {
                    state.update(to: step)
                    names.withLock {
                        $0 = step < 2 ? [] : rank == 1 || step > 2 ? ["moment.\(rank)"] : []
                        if step == 4 { $0.append("shared") }
                    }
                }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        let store = try openStore(files, for: .reading)
        let new = try (1...4).map { step in
            Set(try store.checkpoint(.step(step)).tensors.map(\.name)).subtracting(
                ["rows", "columns", "stage", "bias"])
        }
        #expect(
            new == [[], ["moment.1"], ["moment.0", "moment.1"], ["moment.0", "moment.1", "shared"]])
        for rank in 0..<2 {
            let moment = try OwnedTensor<Float>(repeating: -1, shape: [600])
            try store.restore(
                .step(4), into: TensorState("moment.\(rank)", moment.view), mode: .subset)
            #expect(moment.values.allSatisfy { $0 == Float(rank) })
        }
        #expect(try store.verify().findings.isEmpty)
    }

    /// Model-Optimizer#2209 and KempnerForge#202: experts of several ranks under one name, of which
    /// one would survive. The same with partial sums that were not yet added up.
    @Test("What differs from rank to rank and is declared as the same is refused")
    func sameName() throws {
        let files = InMemoryFileSystem()
        let options = options()
        let errors = try onEachRank(3) { rank in
            let store = try open(files, rank, of: 3, launch: "job")
            let scale = try OwnedTensor<Float>(repeating: Float(rank / 2), shape: [1])
            let mesh = try RankMesh(["ep": 3])
            let places = [
                try TensorSharding([1]).shard(of: rank, in: mesh),
                try TensorSharding([3, 1]).split(0, over: "ep").shard(of: rank, in: mesh),
            ]
            let states = [
                [TensorState("amax", scale.view)],
                [TensorState("amax", scale.view, of: places[0])],
                // With the axis of the experts it is right.
                [TensorState("amax", scale.view, of: places[1])],
            ]
            for (index, state) in states.enumerated() {
                let checkpointer = try Checkpointer(
                    store: store, state: CompositeState(children: state), options: options)
                let ticket = try checkpointer.save(step: index + 1)
                if index < 2 {
                    let error = #expect(throws: CheckpointError.self) { try ticket.wait() }
                    let text = error?.message ?? ""
                    #expect(text.contains("tensor amax") && text.contains("2"), "\(text)")
                    #expect(text.contains("0") || text.contains("1"), "\(text)")
                } else {
                    try ticket.wait()
                }
                try? checkpointer.close()  // tells of the failure again
            }
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        let store = try openStore(files, for: .reading)
        #expect(try steps(of: store) == [3])
        let scales = try OwnedTensor<Float>(repeating: -1, shape: [3, 1])
        try store.restore(.latest, into: TensorState("amax", scales.view))
        #expect(scales.values == [0, 0, 1])
    }

    /// Automodel#3390: a quota ends in the middle of publishing; the next resume goes back, and the
    /// next save finds what is in its way. ISEEKYAN/Megatron-LM#196: a parallel file system that
    /// fails writes with EFAULT.
    @Test(
        "A file system that fails from any write of one rank on fails one save, and the next succeeds",
        arguments: [Errno.diskQuotaExceeded, .badAddress])
    func failingWrites(_ errno: Errno) throws {
        var operation = 0
        var failures = 0
        while true {
            let reached = try save(failing: errno, from: operation)
            guard let reached else { break }
            if reached { failures += 1 }
            operation += 3
        }
        #expect(failures > 3)
    }

    /// Saves three steps on two ranks; what needs space fails on rank 0 from its `last`th operation
    /// after step 1 on, until step 2 has failed or not.
    ///
    /// - Returns: whether step 2 has failed; nil if rank 0 has fewer operations.
    private func save(failing errno: Errno, from last: Int) throws -> Bool? {
        let files = InMemoryFileSystem()
        let options = options()
        let count = Mutex<Int?>(nil)
        let limited = HookedFileSystem(files) { operation throws(FileSystemError) in
            let isOver = count.withLock { count -> Bool in
                guard let number = count else { return false }
                count = number + 1
                return number >= last
            }
            // What frees space succeeds.
            let needsSpace = ["create", "write", "mkdir", "link", "rename"].contains {
                operation.verb.hasPrefix($0)
            }
            guard isOver, needsSpace else { return }
            throw FileSystemError(operation.verb, operation.path, errno)
        }
        let failed = Box<[Int: CheckpointError]>([:])
        let wasReached = Box(false)
        let barrier = InProcessGroup(2)
        let errors = try onEachRank(2) { rank in
            let store = try open(
                rank == 0 ? limited : files, rank, of: 2, launch: "job",
                timeout: .milliseconds(1500))
            let state = try RankState(rank, of: 2)
            let checkpointer = try Checkpointer(
                store: store, state: state.provider, options: options)
            func meet() throws {
                _ = try barrier.member(rank).allGather([], deadline: .now + .seconds(60))
            }
            for step in 1...3 {
                checkpointer.mutate { state.update(to: step) }
                if step == 2, rank == 0 { count.withLock { $0 = 0 } }
                do throws(CheckpointError) {
                    try checkpointer.save(step: step).wait()
                } catch {
                    #expect(step == 2, "rank \(rank): \(error)")
                    failed.withLock { $0[rank] = error }
                }
                if step == 2, rank == 0 {
                    let operations = count.withLock { number -> Int in
                        defer { number = nil }
                        return number ?? 0
                    }
                    wasReached.withLock { $0 = operations > last }
                }
                try meet()
            }
            try? checkpointer.close()  // tells of the failure again
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        let store = try openStore(files, for: .reading)
        let found = try steps(of: store)
        #expect(found == [3, 2, 1] || found == [3, 1], "\(found)")
        // A rank that was told that the step is committed finds it.
        if found == [3, 1] { #expect(failed.value.count == 2, "\(failed.value)") }
        if let error = failed.value[0], found == [3, 1] {
            let expected = errno == .diskQuotaExceeded ? CheckpointError.Code.noSpace : .io
            #expect(error.code == expected || error.code == .cancelled, "\(error)")
        }
        #expect(try store.verify().findings.allSatisfy { $0.kind == .note })
        return wasReached.value ? !failed.value.isEmpty : nil
    }
}

import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import SystemPackage
import Testing

/// Resuming of several ranks.
@Suite("Several ranks resume", .timeLimit(.minutes(20)))
struct RanksResumeTests: RankedCheckpointing {
    /// Megatron#5281: a checkpoint that is damaged for one rank alone is resumed from.
    @Test(
        "All ranks resume from the newest step that each of them can restore",
        arguments: [false, true])
    func ladder(_ hasGroup: Bool) throws {
        let files = InMemoryFileSystem()
        let worldSize = 3
        let groups = (0..<2).map { _ in hasGroup ? InProcessGroup(worldSize) : nil }
        try train(files, worldSize: worldSize, launch: "job.0", group: groups[0])
        // Only rank 2 reads its own random generator: its segment of step 3 is damaged.
        let reader = try openStore(files, for: .reading)
        let manifest = try reader.files.load(try #require(reader.files.names().last)).manifest
        #expect(manifest.step == 3)
        let damaged = try #require(manifest.segments.first { $0.name.rank == 2 })
        let path = reader.directories.path(of: damaged.name)
        var bytes = try #require(try files.contents(of: path, atMost: 1 << 24))
        for page in stride(from: 4096, to: bytes.count, by: 4096) { bytes[page] ^= 1 }
        files.overwrite(path, with: bytes)
        let options = options()
        let errors = try onEachRank(worldSize) { rank in
            let store = try open(files, rank, of: worldSize, launch: "job.1", group: groups[1])
            let state = try RankState(rank, of: worldSize)
            let checkpointer = try Checkpointer(
                store: store, state: state.provider, options: options)
            let report = try checkpointer.resume()
            #expect(report?.step == 2)
            #expect(report?.skipped.count == 1)
            #expect(report?.skipped.first?.message.contains("rank 2") == true)
            #expect(state.isAt(2))
            // Back to an earlier step, named, and on from there.
            let first = try checkpointer.restore(.step(1))
            #expect(first.step == 1 && state.isAt(1))
            checkpointer.mutate { state.update(to: 4) }
            try checkpointer.save(step: 4).wait()
            try checkpointer.restore(.step(4))
            checkpointer.mutate { state.update(to: 5) }
            try checkpointer.save(step: 4).wait()
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
        #expect(try steps(of: openStore(files, for: .reading)) == [4, 4, 3, 2, 1])
    }

    @Test("A rank that resumes reads only the parts with its own bytes")
    func readsWhatItNeeds() throws {
        let (files, worldSize) = (InMemoryFileSystem(), 6)
        try train(files, worldSize: worldSize, launch: "job.0")
        let options = options()
        let reader = try openStore(files, for: .reading)
        let attempts = try files.list(reader.directories.parts).filter { AttemptName($0) != nil }
        #expect(attempts.count == 3)
        let errors = try onEachRank(worldSize) { rank in
            let counted = CountingFileSystem(files)
            let store = try open(counted, rank, of: worldSize, launch: "job.1")
            let state = try RankState(rank, of: worldSize)
            let rows = TensorState("rows", state.rows.view, of: state.shards[0])
            // Rank 0 has looked for leavings.
            for attempt in attempts { _ = counted.takeOpened(attempt) }
            let checkpointer = try Checkpointer(store: store, state: rows, options: options)
            #expect(try checkpointer.resume()?.step == 3)
            #expect(state.rows.values.first == RankState.value(rank * 80, 3))
            // The index and its own part, of step 3.
            let opened = attempts.map { counted.takeOpened($0) }.sorted()
            #expect(opened == [0, 0, 2], "rank \(rank): \(opened)")
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
    }

    /// AReaL#1468, #1341: moments that a checkpoint does not have are left as they are.
    @Test(
        "If a checkpoint does not fit one rank, all learn why, and no state is changed",
        arguments: [false, true])
    func oneCannot(_ hasGroup: Bool) throws {
        let files = InMemoryFileSystem()
        let groups = (0..<2).map { _ in hasGroup ? InProcessGroup(2) : nil }
        try train(files, worldSize: 2, launch: "job.0", group: groups[0])
        let options = options()
        let errors = try onEachRank(2) { rank in
            let store = try open(files, rank, of: 2, launch: "job.1", group: groups[1])
            let state = try RankState(rank, of: 2)
            defer { #expect(state.isNew, "rank \(rank)") }
            let more = try OwnedTensor<Float>(repeating: 0, shape: [3])
            let provider = CompositeState {
                state.provider
                if rank == 1 { TensorState("more", more.view) }
            }
            let checkpointer = try Checkpointer(store: store, state: provider, options: options)
            try checkpointer.resume()
        }
        #expect((errors[1] as? CheckpointError)?.code == .mismatch)
        let other = errors[0] as? CheckpointError
        #expect(other?.code == .cancelled && other?.message.contains("rank 1") == true)
    }
}

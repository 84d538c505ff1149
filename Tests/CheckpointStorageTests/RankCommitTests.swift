import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointSegments
import CheckpointSharding
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import CheckpointingTestSupport
import SystemPackage
import Testing

/// The commit of several ranks, without an engine.
@Suite("Commit of several ranks", .timeLimit(.minutes(20)))
struct RankCommitTests {
    private func rows(_ worldSize: Int, seed: UInt64 = 7) throws -> TestTensor {
        var random = SeededGenerator(seed)
        let sharding = TensorSharding([worldSize, 8]).split(0, over: "tp")
        return TestTensor("w", .f32, sharding, try RankMesh(["tp": worldSize]), &random)
    }

    private func restored(_ tensor: TestTensor, from store: CheckpointStore) throws -> [UInt8] {
        try store.checkpoint(.latest).bytes(ofTensor: tensor.name)
    }

    @Test(
        "Ranks commit once, with copies or without, and any layout is restored",
        arguments: Seeds.ofTheDay(16, of: 80))
    func anyLayout(_ seed: UInt64) throws {
        var (maker, random) = (RandomSharding(seed), SeededGenerator(seed))
        let shape = maker.shape()
        let (saved, savedMesh) = try maker.saved(shape)
        let (requested, mesh) = try maker.requested(shape)
        let tensor = TestTensor("w", .bf16, parts: saved, savedMesh, &random)
        let store = try openStore(InMemoryFileSystem())
        let attempt = RankSave(store: store, step: 3, worldSize: max(savedMesh.worldSize, 2))
        let holdsCopies = random.below(2) == 0
        for rank in 0..<attempt.worldSize {
            try attempt.save(rank, [tensor], seed: seed, holdsCopies: holdsCopies) { part in
                if rank == 0, part.manifest.tensors.isEmpty {
                    part.change { $0.tensors = [] }
                    try part.add(shardsOf: tensor, rank: -1)
                }
                try part.add(object: "rng.\(rank)", Array("\(rank)".utf8))
            }
        }
        let hashes = try (0..<attempt.worldSize).map { try attempt.commit($0).finish() }
        #expect(Set(hashes).count == 1)
        #expect(try restored(tensor, from: store) == tensor.content, "seed \(seed)")
        #expect(try store.checkpoint(.latest).bytes(ofObject: "rng.1") == Array("1".utf8))
        #expect(try store.verify().findings.isEmpty)
        for rank in 0..<mesh.worldSize {
            let shard = try requested.shard(of: rank, in: mesh)
            let count = shard.memoryShape.reduce(1, *) * 2
            let memory = try OwnedBytes([UInt8](repeating: 0xA5, count: count))
            let view = try TensorView(memory.lent, type: .bf16, shape: shard.memoryShape)
            try store.restore(
                .latest, into: TensorState("w", view, of: shard), mode: .subset)
            #expect(memory.bytes == tensor.memory(of: shard, padding: 0xA5), "seed \(seed)")
        }
    }

    @Test("A rank reads the root, a page of the index, and the parts that it needs")
    func readsWhatItNeeds() throws {
        let files = CountingFileSystem(InMemoryFileSystem())
        let store = try openStore(files)
        let tensor = try rows(64)
        let attempt = RankSave(store: store, step: 1, worldSize: 64)
        for rank in 0..<64 { try attempt.save(rank, [tensor]) }
        _ = try attempt.commit(0).finish()
        let shard = try TensorShard(offset: [17, 0], extent: [2, 8], of: [64, 8])
        let memory = try OwnedBytes(zeros: 64)
        let view = try TensorView(memory.lent, type: .f32, shape: [2, 8])
        let directory = attempt.directory.lastComponent?.string ?? ""
        _ = (files.takeOpened(directory), files.takeOpened("segments"))
        try store.restore(.latest, into: TensorState("w", view, of: shard), threads: 1)
        #expect(memory.bytes == Array(tensor.content[17 * 32..<19 * 32]))
        #expect(files.takeOpened(directory) == 3)
        #expect(files.takeOpened("segments") == 2)
    }

    @Test("Maintenance treats the checkpoint as one", arguments: Seeds.ofTheDay(2, of: 6))
    func maintenance(_ seed: UInt64) throws {
        let files = InMemoryFileSystem()
        let tensor = try rows(4, seed: seed)
        do {
            let store = try openStore(files)
            for step in 1...3 {
                let attempt = RankSave(store: store, step: step, worldSize: 4)
                for rank in 0..<4 {
                    try attempt.save(rank, [tensor]) { try $0.add(object: "config", [1, 2]) }
                }
                _ = try attempt.commit(0).finish()
            }
        }
        let copy = InMemoryFileSystem()
        do {
            let destination = try openStore(copy)
            let store = try openStore(files, for: .reading)
            #expect(try store.copy([], to: destination).checkpoints.count == 3)
            #expect(try restored(tensor, from: destination) == tensor.content)
            #expect(try destination.verify().findings.isEmpty)
        }
        let store = try openForMaintaining(files)
        _ = try store.repack()
        #expect(try store.verify().findings.isEmpty)
        #expect(try restored(tensor, from: store) == tensor.content)
        _ = try store.remove([.step(1), .step(2)])
        #expect(try steps(of: store) == [3])
        #expect(try files.list(store.directories.parts).count == 1)
        #expect(try files.list(store.directories.segments).count == 4)
        #expect(try restored(tensor, from: store) == tensor.content)
    }

    @Test(
        "A rank that is late does not bring back a checkpoint that is being removed",
        arguments: [".collected", "/segments/"])
    func lateRank(moment: String) throws {
        let files = InMemoryFileSystem()
        let tensor = try rows(2)
        let store = try openStore(files)
        let saves = (1...2).map { step in
            var save = RankSave(store: store, step: step, worldSize: 2)
            save.timeout = .milliseconds(50)
            return save
        }
        for save in saves {
            for rank in 0..<2 { try save.save(rank, [tensor]) }
            _ = try save.commit(0).finish()
        }
        let (late, isOver) = (saves[0].commit(1), Box(false))
        let hooked = HookedFileSystem(files) { operation throws(FileSystemError) in
            let isRemoval = ["remove", "rename"].contains(operation.verb)
            guard isRemoval, operation.path.string.contains(moment), !isOver.value else { return }
            isOver.value = true
            HeldLocks.settingAside { _ = try? late.finish() }
        }
        _ = try openForMaintaining(hooked).remove([.step(1)])
        #expect(isOver.value)
        #expect(try steps(of: store) == [2])
        #expect(try store.verify().findings.isEmpty)
        #expect(try files.list(store.directories.parts).count == 1)
    }

    @Test("A missing rank is named when the time is over, and nothing is committed")
    func missingRank() throws {
        let store = try openStore(InMemoryFileSystem())
        let tensor = try rows(4)
        var attempt = RankSave(store: store, step: 1, worldSize: 4)
        attempt.timeout = .milliseconds(50)
        for rank in [0, 2, 3] { try attempt.save(rank, [tensor]) }
        for rank in [0, 3] {
            let error = #expect(throws: CheckpointError.self) {
                try attempt.commit(rank).finish()
            }
            #expect(error?.code == .timedOut)
            #expect(error?.message.contains("1 of 4 ranks") == true, "\(String(describing: error))")
            #expect(error?.message.hasSuffix(": 1") == true, "\(String(describing: error))")
        }
        #expect(try steps(of: store).isEmpty)
        // The rank was only late: another try of the same attempt commits it.
        try attempt.save(1, [tensor])
        _ = try attempt.commit(0).finish()
        #expect(try restored(tensor, from: store) == tensor.content)
    }

    @Test("Another rank publishes in the place of one that died after its part")
    func takeOver() throws {
        let store = try openStore(InMemoryFileSystem())
        let tensor = try rows(3)
        var attempt = RankSave(store: store, step: 1, worldSize: 3)
        attempt.timeout = .milliseconds(800)
        for rank in 0..<3 { try attempt.save(rank, [tensor]) }
        _ = try attempt.commit(1).finish()
        #expect(try restored(tensor, from: store) == tensor.content)
    }

    @Test("All ranks publish at once, and one of them wins", arguments: 1...8)
    func manyPublishers(_ round: Int) throws {
        let store = try openStore(InMemoryFileSystem())
        let tensor = try rows(4)
        let attempt = RankSave(store: store, step: round, worldSize: 4)
        for rank in 0..<4 { try attempt.save(rank, [tensor]) }
        let results = Box<[Result<Hash128, CheckpointError>]>([])
        let publishers = try (0..<6).map { number in
            // Rank 0 twice, as when a process is taken for dead and started again.
            let commit = attempt.commit(number % 3 == 0 ? 0 : number % 4)
            return try WorkerThread(name: "publisher") {
                let result = Result { () throws(CheckpointError) in try commit.finish() }
                results.withLock { $0.append(result) }
            }
        }
        for publisher in publishers { publisher.join() }
        let hashes = try results.value.map { try $0.get() }
        #expect(hashes.count == 6 && Set(hashes).count == 1)
        #expect(try steps(of: store) == [round])
    }

    @Test("Of two attempts at a step that publish at the same moment, the first one stays")
    func publishedMeanwhile() throws {
        let (memory, isFirst) = (InMemoryFileSystem(), Box(true))
        let store = try openStore(memory)
        let (first, second) = (try rows(2, seed: 1), try rows(2, seed: 2))
        let attempts = (0..<2).map { _ in RankSave(store: store, step: 5, worldSize: 2) }
        for rank in 0..<2 {
            for (attempt, rows) in zip(attempts, [first, second]) { try attempt.save(rank, [rows]) }
        }
        let disk = HookedFileSystem(memory) { operation throws(FileSystemError) in
            // The second attempt has found no root, and is about to publish its own.
            guard operation.path.string.contains("/manifests/"), isFirst.value else { return }
            isFirst.value = false
            #expect(throws: Never.self) { try attempts[0].commit(0).finish() }
        }
        let error = #expect(throws: CheckpointError.self) { try attempts[1].commit(0, disk).finish() }
        #expect(error?.code == .exists && !isFirst.value)
        #expect(try restored(first, from: store) == first.content)
    }

    @Test("A second attempt at a committed step is refused, and changes nothing")
    func secondAttempt() throws {
        let store = try openStore(InMemoryFileSystem())
        let (first, second) = (try rows(2, seed: 1), try rows(2, seed: 2))
        for (tensor, isFirst) in [(first, true), (second, false)] {
            let attempt = RankSave(store: store, step: 5, worldSize: 2)
            for rank in 0..<2 { try attempt.save(rank, [tensor]) }
            if isFirst {
                _ = try attempt.commit(0).finish()
            } else {
                for rank in 0..<2 {
                    let error = #expect(throws: CheckpointError.self) {
                        try attempt.commit(rank).finish()
                    }
                    #expect(error?.code == .exists)
                }
            }
        }
        #expect(try restored(first, from: store) == first.content)
    }

    @Test("A world of another size is refused, and a second process of one rank")
    func intruders() throws {
        let store = try openStore(InMemoryFileSystem())
        let attempt = RankSave(store: store, step: 1, worldSize: 2)
        try attempt.save(0, [try rows(2)])
        var other = attempt
        other = RankSave(store: store, step: 1, worldSize: 3, id: attempt.id)
        let size = #expect(throws: CheckpointError.self) { try other.commit(2).begin() }
        #expect(size?.code == .misuse)
        #expect(size?.message.contains("one of 2 processes") == true)
        var maker = attempt.maker(1)
        try maker.add(shardsOf: rows(2), rank: 1)
        let (part, sealed) = try maker.seal()
        var twin = part
        twin.writer = "another process"
        try attempt.commit(1).publish(part: part, of: sealed)
        try attempt.commit(1).publish(part: part, of: sealed)
        let twice = #expect(throws: CheckpointError.self) {
            try attempt.commit(1).publish(part: twin, of: sealed)
        }
        #expect(twice?.code == .exists && twice?.message.contains("rank 1") == true)
        _ = try attempt.commit(0).finish()
        #expect(try steps(of: store) == [1])
    }

    @Test("Parts that are not one checkpoint are refused, with tensor and ranks")
    func disagreements() throws {
        func refusal(
            _ body: (Int, inout CheckpointMaker) throws -> Void
        ) throws -> String {
            let store = try openStore(InMemoryFileSystem())
            let attempt = RankSave(store: store, step: 1, worldSize: 3)
            let tensor = try rows(3)
            for rank in 0..<3 {
                try attempt.save(rank, [tensor]) { try body(rank, &$0) }
            }
            let error = #expect(throws: CheckpointError.self) { try attempt.commit(0).finish() }
            // A rank that asks later learns the reason, not that the time is over.
            let other = #expect(throws: CheckpointError.self) { try attempt.commit(2).finish() }
            #expect(error?.code == .mismatch && other != nil)
            #expect(try steps(of: store).isEmpty)
            return error?.message ?? ""
        }
        func copies(_ seed: UInt64, shape: [Int] = [6]) throws -> TestTensor {
            var random = SeededGenerator(seed)
            return TestTensor(
                "copies", .u8, TensorSharding(shape), try RankMesh(["dp": 3]), &random)
        }
        let diverged = try refusal { rank, part in
            try part.add(heldOf: copies(rank == 2 ? 2 : 1), rank: rank)
        }
        #expect(diverged.contains("ranks 0 and 2") && diverged.contains("different bytes"))
        let shapes = try refusal { rank, part in
            try part.add(heldOf: copies(1, shape: rank == 1 ? [3, 2] : [6]), rank: rank)
        }
        #expect(shapes.contains("copies") && shapes.contains("[3, 2]"))
        let hole = try refusal { rank, part in
            if rank == 1 { part.change { $0.tensors = [] } }
        }
        #expect(hole.contains("no rank has saved [1..<2, 0..<8]"), "\(hole)")
        let overlap = try refusal { rank, part in
            if rank == 2 { try part.add(shardsOf: copies(1), rank: 0) }
            guard rank == 1 else { return }
            var random = SeededGenerator(5)
            let half = TestTensor(
                "copies", .u8, TensorSharding([6]).split(0, over: "tp"),
                try RankMesh(["tp": 2]), &random)
            try part.add(shardsOf: half, rank: 1)
        }
        #expect(overlap.contains("both have") && overlap.contains("ranks"), "\(overlap)")
        let objects = try refusal { rank, part in
            try part.add(object: "rng", [UInt8(rank)])
        }
        #expect(objects.contains("object rng") && objects.contains("ranks 0 and 1"))
        let epochs = try refusal { rank, part in
            guard rank == 2 else { return }
            part.change { part in
                part.groups[0].epoch = 1
                for index in part.chunks.indices { part.chunks[index].epoch = 1 }
            }
        }
        #expect(epochs.contains("rank 2 has made 1 updates"), "\(epochs)")
    }

    @Test("With a process group, one rank's failure reaches all at once")
    func failureReachesAll() throws {
        let store = try openStore(InMemoryFileSystem())
        let tensor = try rows(3)
        let group = InProcessGroup(3)
        for fails in [true, false] {
            var attempt = RankSave(store: store, step: fails ? 1 : 2, worldSize: 3)
            attempt.group = group
            for rank in 0..<3 where !fails || rank != 1 { try attempt.save(rank, [tensor]) }
            let errors = Box<[Int: CheckpointError]>([:])
            let threads = try (0..<3).map { rank in
                let commit = attempt.commit(rank)
                return try WorkerThread(name: "rank") {
                    do throws(CheckpointError) {
                        if fails, rank == 1 {
                            commit.fail(CheckpointError(.noSpace, "the disk of rank 1 is full"))
                        } else {
                            _ = try commit.finish()
                        }
                    } catch { errors.withLock { $0[rank] = error } }
                }
            }
            for thread in threads { thread.join() }
            let found = errors.value
            #expect(found.keys.sorted() == (fails ? [0, 2] : []))
            for error in found.values {
                #expect(error.message.contains("rank 1 could not save"))
                #expect(error.message.contains("is full"))
            }
        }
        #expect(try steps(of: store) == [2])
    }

    @Test("Recovery leaves a save in flight alone, and collects an abandoned one")
    func lease() throws {
        let files = InMemoryFileSystem()
        let tensor = try rows(2)
        var attempt: RankSave?
        do {
            let store = try openStore(files)
            let committed = RankSave(store: store, step: 1, worldSize: 2)
            for rank in 0..<2 { try committed.save(rank, [tensor]) }
            _ = try committed.commit(0).finish()
            let abandoned = RankSave(store: store, step: 2, worldSize: 2)
            try abandoned.save(0, [tensor])
            attempt = abandoned
            try store.close()
        }
        let open = try #require(attempt)
        let directories = open.store.directories
        attempt = nil
        let store = try openStore(files)
        #expect(store.recovered.count == 0)
        try open.save(1, [tensor])
        let before = try files.list(directories.segments).count
        #expect(before == 4)
        // A day later nobody may count on it any more.
        for name in try files.list(open.directory) {
            guard case .begun(let rank, let worldSize, let time)? = PartName(name) else { continue }
            let old = PartName.begun(
                rank: rank, worldSize: worldSize, milliseconds: time - 25 * 3600 * 1000)
            try files.replace(
                open.directory.appending(old.description), with: open.directory.appending(name))
        }
        withExtendedLifetime(store) {}
        try store.close()
        let after = try openStore(files)
        #expect(after.recovered.count > 0)
        #expect(try files.list(directories.segments).count == 2)
        #expect(try files.list(directories.parts).count == 1)
        #expect(try steps(of: after) == [1])
        #expect(try restored(tensor, from: after) == tensor.content)
        // A rank that wakes up now cannot commit what is gone.
        #expect(throws: CheckpointError.self) { try open.commit(1).finish() }
        #expect(try steps(of: after) == [1])
    }
}

import CheckpointFormat
import CheckpointSharding
import CheckpointState
import CheckpointStorage
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Testing

/// Objects that each rank has for itself, restored on the same mesh and on other ones.
@Suite("State of one rank", .timeLimit(.minutes(20)))
struct RankObjectTests: RankedCheckpointing {
    private typealias Rule = RankObjectState<Int>.AnotherMesh

    private static func mesh(_ axes: [Int]) throws -> RankMesh {
        try RankMesh(["dp": axes[0], "tp": axes[1]])
    }

    /// Saves `100 + rank` on each rank.
    private func save(_ files: InMemoryFileSystem, _ axes: [Int]) throws {
        let mesh = try Self.mesh(axes)
        let options = options()
        let errors = try onEachRank(mesh.worldSize) { rank in
            let state = CompositeState("trainer") {
                RankObjectState("rng", of: rank, in: mesh, role: .rng, get: { 100 + rank }, set: { _ in })
            }
            let store = try open(files, rank, of: mesh.worldSize, launch: "first")
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            try checkpointer.save(step: 1).wait()
            try checkpointer.close()
            try store.close()
        }
        #expect(errors.isEmpty, "\(errors)")
    }

    /// Resumes on each rank.
    private func resume(
        _ files: InMemoryFileSystem, _ mesh: RankMesh, mode: RestoreMode = .strict,
        launch: String = "second", _ rule: @escaping @Sendable (Int) -> Rule
    ) throws -> (values: [Int], reports: [RestoreReport?], errors: [Int: any Error]) {
        let values = Box([Int](repeating: -1, count: mesh.worldSize))
        let reports = Box([RestoreReport?](repeating: nil, count: mesh.worldSize))
        let options = options()
        let errors = try onEachRank(mesh.worldSize) { rank in
            let state = CompositeState("trainer") {
                RankObjectState(
                    "rng", of: rank, in: mesh, onAnotherMesh: rule(rank), get: { values.value[rank] },
                    set: { value in values.withLock { $0[rank] = value } })
            }
            let store = try open(
                files, rank, of: mesh.worldSize, launch: launch, timeout: .seconds(20))
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            let outcome = Result { try checkpointer.resume(mode: mode) }
            try checkpointer.close()
            try store.close()
            let report = try outcome.get()
            reports.withLock { $0[rank] = report }
        }
        return (values.value, reports.value, errors)
    }

    @Test("On the same mesh, each rank gets its own back")
    func sameMesh() throws {
        let files = InMemoryFileSystem()
        try save(files, [2, 2])
        let (values, reports, errors) = try resume(files, Self.mesh([2, 2])) { _ in .refuse }
        #expect(errors.isEmpty, "\(errors)")
        #expect(values == [100, 101, 102, 103])
        #expect(reports.allSatisfy { $0?.fromFirstRank == [] })
        let checkpoint = try openStore(files, for: .reading).checkpoint(.latest)
        #expect(
            Set(checkpoint.objects.map(\.name)) == [
                "trainer.rng", "trainer.rng.dp0of2.tp0of2", "trainer.rng.dp0of2.tp1of2",
                "trainer.rng.dp1of2.tp0of2", "trainer.rng.dp1of2.tp1of2",
            ])
    }

    /// Megatron-Bridge#5100: state under coordinates of another layout is lost, without a word.
    @Test(
        "On another mesh, of the same or another size, a restore is refused and changes nothing",
        arguments: [[1, 4], [4, 1], [1, 2], [1, 1], [3, 2]])
    func refused(_ axes: [Int]) throws {
        let files = InMemoryFileSystem()
        try save(files, [2, 2])
        let mesh = try Self.mesh(axes)
        let (values, _, errors) = try resume(files, mesh) { _ in .refuse }
        #expect(errors.count == mesh.worldSize)
        #expect(values.allSatisfy { $0 == -1 })
        let error = try #require(errors[0] as? CheckpointError)
        #expect(error.code == .mismatch, "\(error)")
        #expect(error.message.contains("trainer.rng.dp0of\(axes[0]).tp0of\(axes[1])"), "\(error)")
        #expect(error.message.contains("nearest: trainer.rng.dp"), "\(error)")
        #expect(error.remedy?.contains("onAnotherMesh") == true, "\(error)")
        // What is left as it was is named.
        let (kept, reports, none) = try resume(files, mesh, mode: .partial, launch: "third") { _ in .refuse }
        #expect(none.isEmpty, "\(none)")
        #expect(kept.allSatisfy { $0 == -1 })
        #expect(reports.allSatisfy { $0?.missing.count == 1 })
    }

    @Test("On another mesh, each rank makes its value from the first one's", arguments: [[3, 2], [1, 1]])
    func derived(_ axes: [Int]) throws {
        let files = InMemoryFileSystem()
        try save(files, [2, 2])
        let mesh = try Self.mesh(axes)
        let (values, reports, errors) = try resume(files, mesh) { rank in .derive { $0 * 10 + rank } }
        #expect(errors.isEmpty, "\(errors)")
        #expect(values == (0..<mesh.worldSize).map { 1000 + $0 })
        let names = reports.map { $0?.fromFirstRank ?? [] }
        #expect(names.allSatisfy { $0.count == 1 }, "\(names)")
        #expect(Set(names.joined()).count == mesh.worldSize)
        let (same, _, failed) = try resume(files, mesh, launch: "third") { _ in .broadcast }
        #expect(failed.isEmpty, "\(failed)")
        #expect(same == [Int](repeating: 100, count: mesh.worldSize))
    }

    @Test("A checkpoint of one process that knew no ranks is another mesh, too")
    func fromOneProcess() throws {
        let files = InMemoryFileSystem()
        let store = try openStore(files)
        let checkpointer = try Checkpointer(
            store: store, state: ObjectState("trainer.rng", get: { 7 }, set: { (_: Int) in }),
            options: options())
        try checkpointer.save(step: 1).wait()
        try checkpointer.close()
        try store.close()
        let (values, _, errors) = try resume(files, Self.mesh([2, 1])) { rank in .derive { $0 + rank } }
        #expect(errors.isEmpty, "\(errors)")
        #expect(values == [7, 8])
        let refused = try resume(files, Self.mesh([2, 1]), launch: "third") { _ in .refuse }
        #expect(refused.errors.count == 2)
        let errors0 = try (0..<2).map { try #require(refused.errors[$0] as? CheckpointError) }
        #expect(errors0.allSatisfy { $0.remedy?.contains("onAnotherMesh") == true }, "\(errors0)")
    }

    @Test("One process restores what ranks have for themselves by the same rule, without reading it")
    func strictOfOneProcess() throws {
        let files = InMemoryFileSystem()
        try save(files, [2, 2])
        let value = Box(0)
        let alone = try RankMesh([:])
        let state = CompositeState("trainer") {
            RankObjectState(
                "rng", of: 0, in: alone, onAnotherMesh: .broadcast, get: { 0 },
                set: { value.value = $0 })
        }
        let report = try openStore(files, for: .reading).restore(.latest, into: state)
        #expect(value.value == 100)
        #expect(report.fromFirstRank == ["trainer.rng.0of1"] && report.unused.isEmpty)
    }

    @Test("A rank or a mesh that cannot name state is refused when it is described")
    func impossible() throws {
        let mesh = try RankMesh(["dp": 2])
        func inventory(_ rank: Int, _ mesh: RankMesh) throws {
            _ = try StateInventory(
                of: RankObjectState("rng", of: rank, in: mesh, get: { 1 }, set: { _ in }))
        }
        #expect(throws: ShardingError.self) { try inventory(2, mesh) }
        #expect(throws: ShardingError.self) { try inventory(-1, mesh) }
        #expect(throws: ShardingError.self) { try inventory(1, RankMesh([:])) }
        for name in ["", "a.b", "dp1"] {
            #expect(throws: ShardingError.self) { try inventory(0, RankMesh([name: 2])) }
        }
    }

    @Test("An object of another rank than the one that saves it is refused", arguments: [[1, 2], [0, 3]])
    func anotherRank(_ declared: [Int]) throws {
        let files = InMemoryFileSystem()
        let options = options()
        let mesh = try RankMesh(["dp": declared[1]])
        let errors = try onEachRank(2) { rank in
            let state = RankObjectState(
                "rng", of: declared[0], in: mesh, get: { 1 }, set: { (_: Int) in })
            let store = try open(files, rank, of: 2, launch: "only", timeout: .seconds(20))
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            let outcome = Result { try checkpointer.save(step: 1).wait() }
            try checkpointer.close()
            try store.close()
            try outcome.get()
        }
        let error = try #require(errors[0] as? CheckpointError)
        #expect(error.code == .misuse && error.message.contains("is rank 0 of 2"), "\(errors)")
    }

    @Test("A missing tensor is no matter of the mesh")
    func missingTensor() throws {
        let files = InMemoryFileSystem()
        try save(files, [1, 2])
        let mesh = try Self.mesh([1, 2])
        let options = options()
        let more = try OwnedTensor<Float>(repeating: 0, shape: [3])
        let errors = try onEachRank(2) { rank in
            let state = CompositeState("trainer") {
                RankObjectState("rng", of: rank, in: mesh, get: { 1 }, set: { (_: Int) in })
                TensorState("more", more.view)
            }
            let store = try open(files, rank, of: 2, launch: "more", timeout: .seconds(20))
            let checkpointer = try Checkpointer(store: store, state: state, options: options)
            let outcome = Result { try checkpointer.resume() }
            try checkpointer.close()
            try store.close()
            _ = try outcome.get()
        }
        let error = try #require(errors[0] as? CheckpointError)
        #expect(error.code == .mismatch && error.remedy?.contains("onAnotherMesh") == false, "\(error)")
    }

    @Test("Only objects that are named after coordinates belong to ranks")
    func coordinates() throws {
        for text in ["dp0of2", "dp0of2.tp11of16", "0of1", "of1of2"] {
            #expect(RankMesh.areCoordinates(Substring(text)), "\(text)")
        }
        for text in ["", "dp0", "dp0of", "of2", "dpof2", "dp0of2.", ".dp0of2", "dp0of2.state", "0of1x"] {
            #expect(!RankMesh.areCoordinates(Substring(text)), "\(text)")
        }
        let random = RankOwnership(name: "rng", rank: 0, of: 2)
        #expect(random.includes("rng.dp0of2"))
        #expect(!random.includes("rng") && !random.includes("rngs.dp0of2") && !random.includes("rng.state"))
    }
}

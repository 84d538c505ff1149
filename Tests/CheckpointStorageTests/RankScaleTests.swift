import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointSharding
import CheckpointStorage
import CheckpointTestSupport
import CheckpointingTestSupport
import SystemPackage
import Testing

/// The cost of the commit of many ranks for a file system that they share.
@Suite("Commit of many ranks", .timeLimit(.minutes(20)))
struct RankScaleTests {
    private func save(_ worldSize: Int, on files: any FileSystem) throws -> RankSave {
        var random = SeededGenerator(3)
        let sharding = TensorSharding([worldSize, 8]).split(0, over: "tp")
        let tensor = TestTensor("w", .f32, sharding, try RankMesh(["tp": worldSize]), &random)
        let store = try openStore(files)
        let save = RankSave(store: store, step: 1, worldSize: worldSize)
        for rank in 0..<worldSize { try save.save(rank, [tensor]) }
        return save
    }

    @Test("A rank that learns of the commit reads a few bytes of the root")
    func learning() throws {
        let files = CountingFileSystem(InMemoryFileSystem())
        let save = try save(96, on: files)
        let hash = try save.commit(0).finish()
        let directory = save.directory.lastComponent?.string ?? ""
        _ = (files.takeReadBytes("manifests"), files.takeListed(directory))
        #expect(try save.commit(95).finish() == hash)
        #expect(files.takeReadBytes("manifests") < 200)
        #expect(files.takeListed(directory) == 0)
    }

    @Test("A rank that waits lists the parts of all only now and then")
    func waiting() throws {
        let files = CountingFileSystem(InMemoryFileSystem())
        var save = try save(96, on: files)
        save.timeout = .seconds(4)
        let directory = save.directory.lastComponent?.string ?? ""
        _ = (files.takeListed("manifests"), files.takeListed(directory))
        var ranks = save.ranks(5)
        ranks.patience = .milliseconds(300)
        let commit = RankCommit(
            CommitProtocol(
                fileSystem: files, directories: save.store.directories, catalog: save.store.catalog),
            attempt: save.commit(5).attempt, ranks: ranks, RankMessages(nil))
        // Rank 0 does not publish, so this one does when its turn has come.
        _ = try commit.finish()
        let (looks, rounds) = (files.takeListed(directory), files.takeListed("manifests"))
        #expect(looks < rounds, "\(looks) of \(rounds)")
        #expect(rounds <= 20, "\(rounds)")
    }

    @Test("Parts are read at the same time, and a damaged one is named", arguments: [7, 70])
    func damagedPart(_ damaged: Int) throws {
        let files = InMemoryFileSystem()
        let save = try save(96, on: files)
        let name = PartName.part(rank: damaged, worldSize: 96)
        let path = save.store.directories.path(of: name, in: save.commit(0).attempt)
        let bytes = try #require(try files.contents(of: path, atMost: 1 << 20))
        try files.remove(path)
        try files.createDurably(path, bytes.dropLast() + [bytes[bytes.count - 1] ^ 1])
        let error = #expect(throws: CheckpointError.self) { try save.commit(0).finish() }
        #expect(error?.code == .damaged && error?.path == path.string)
    }

    @Test("The identity of a manifest is read from its two ends, whatever its keys' order")
    func identity() throws {
        let files = InMemoryFileSystem()
        let save = try save(2, on: files)
        let hash = try save.commit(0).finish()
        let name = save.commit(0).attempt.checkpoint
        let identity = try save.store.files.identity(of: name)
        #expect(identity.id == save.id && identity.hash == hash)
        let missing = ManifestName(run: name.run, step: 99)
        #expect(throws: CheckpointError.self) { try save.store.files.identity(of: missing) }
        // A file that begins with something else is read and checked as a whole.
        let path = save.store.directories.path(of: name)
        var bytes = try #require(try files.contents(of: path, atMost: 1 << 20))
        bytes[ManifestHeader.bytes + 2] = UInt8(ascii: "x")
        try files.remove(path)
        try files.createDurably(path, bytes)
        let error = #expect(throws: CheckpointError.self) {
            try save.store.files.identity(of: name)
        }
        #expect(error?.code == .damaged)
    }
}

import CheckpointCodecs
import CheckpointFormat
import CheckpointIO
import CheckpointTestSupport
import Checkpointing
import Foundation
import SystemPackage
import Testing

/// A store of many checkpoints. `Tools/many` makes it with 100,000 and takes the time of a release build.
@Suite(.timeLimit(.minutes(20))) struct ManyTests {
    private static let settings = ProcessInfo.processInfo.environment
    private static let count = settings["CKPT_MANY"].flatMap { Int($0) } ?? 600

    /// Copies of step 20 at later steps, in the catalog too. All name the segment of step 20.
    private func makeStore() throws -> Sample {
        let sample = try Sample()
        var manifest = try CheckpointStore.open(sample.store).load(.step(20)).manifest
        for step in 21..<21 + Self.count {
            (manifest.id, manifest.step) = (CheckpointID(rawValue: UInt128(step) << 64), step)
            manifest.metrics = [.init(name: "loss", value: 1 / Double(step))]
            let bytes = manifest.encoded(digest: Hashing.digest)
            try Data(bytes).write(to: URL(fileURLWithPath: "\(sample.store)/manifests/\(manifest.name)"))
        }
        _ = try openSoon(sample.store, for: .writing).id
        return sample
    }

    private func open(_ sample: Sample, _ access: CheckpointStore.Access) throws -> (CheckpointStore, CountingFileSystem<POSIXFileSystem>) {
        let fileSystem = CountingFileSystem(POSIXFileSystem())
        let store = try CheckpointStore(fileSystem: fileSystem, root: FilePath(sample.store), access: access, catalog: .store)
        return (store, fileSystem)
    }

    @Test func nothingReadsWhatItDoesNotNeed() throws {
        let sample = try makeStore()
        for access in [CheckpointStore.Access.reading, .maintaining] {
            let (store, fileSystem) = try open(sample, access)
            #expect(fileSystem.takeOpened("manifests") == 0 && fileSystem.takeOpened("segments") == 0)
            #expect(fileSystem.takeListed("manifests") <= 1)
            #expect(try store.newest(20).count == 20)
            #expect(fileSystem.takeOpened("manifests") == 0 && fileSystem.takeListed("manifests") == 1)
            #expect(try store.load(.latest).manifest.step == 20 + Self.count)
            #expect(fileSystem.takeOpened("manifests") == 1 && fileSystem.takeListed("manifests") == 1)
            let id = CheckpointID(rawValue: 300 << 64).description
            for reference in ["best:loss", "best:loss:max", "21", "step_000022", id] {
                _ = try store.load(#require(CheckpointReference(reference)))
                // What the catalog calls best is compared with its manifest.
                #expect(fileSystem.takeOpened("manifests") <= 2)
                #expect(fileSystem.takeListed("manifests") == 1)
            }
            #expect(try store.checkpoints().count == Self.count + 2)
            #expect(fileSystem.takeOpened("manifests") == 0 && fileSystem.takeOpened("segments") == 0)
        }
        if let path = Self.settings["CKPT_MANY_STORE"] { try FileManager.default.copyItem(atPath: sample.store, toPath: path) }
    }

    @Test func whatTheCatalogDoesNotKnowIsFoundToo() throws {
        let sample = try Sample()
        try sample.forge {
            $0.id = CheckpointID(rawValue: 0xABCD << 112)
            $0.metrics = [.init(name: "loss", value: -7)]
        }
        let store = try CheckpointStore.open(sample.store)
        for reference in ["abcd", "best:loss", "latest"] {
            #expect(try store.load(#require(CheckpointReference(reference))).manifest.step == 30)
        }
        #expect(try store.load(#require(CheckpointReference("best:loss:max"))).manifest.step == 10)
        #expect(throws: CheckpointError.self) { _ = try store.load(.id(prefix: "abce")) }
    }

    @Test func aWriterThatOpensTheStoreReadsNoManifest() throws {
        let sample = try makeStore()
        // Another test's program may hold the lock for a moment: that is the writer's matter, and waited for here.
        _ = try openSoon(sample.store, for: .writing).id
        let fileSystem = CountingFileSystem(POSIXFileSystem())
        try retrying(while: { $0.code == .busy }) { () throws(CheckpointError) in
            _ = try CheckpointStore(
                fileSystem: fileSystem, root: FilePath(sample.store), access: .writing, catalog: .store
            ).id
        }
        #expect(fileSystem.takeListed("segments") == 1, "it was opened")
        #expect(fileSystem.takeOpened("manifests") == 0 && fileSystem.takeOpened("segments") == 0)
    }
}

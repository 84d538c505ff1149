import CheckpointCatalog
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
@testable import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

/// A catalog of many checkpoints.
@Suite("Many checkpoints", .timeLimit(.minutes(20)))
struct ManyCheckpointsTests {
    private func manifest(_ run: RunID, _ step: Int) -> Manifest {
        var manifest = Manifest(
            id: .random(), store: .random(), run: run, runName: "r", step: step, created: step, writer: "test")
        manifest.metrics = [.init(name: "loss", value: 1 / Double(step + 1)), .init(name: "bad", value: .nan)]
        manifest.groups = [.init(name: "state", epoch: 0)]
        manifest.tensors = (0..<20).map {
            TensorRecord(name: "t\($0)", type: .f32, shape: [0], role: .parameter, group: 0, shards: [])
        }
        return manifest
    }

    @Test("what is asked for is found, newest first, whether few or all are wanted")
    func entries() throws {
        let directory = try TemporaryDirectory()
        let catalog = try Catalog(path: FilePath(directory.appending("catalog.sqlite")), access: .writing)
        let run = RunID.next(clockMilliseconds: 1, after: nil)
        let all = (0..<3000).map { step in
            let manifest = manifest(run, step)
            return (
                entry: CatalogEntry(manifest, manifestBytes: 100, manifestHash: Hash128(rawValue: UInt128(step))),
                manifest: manifest
            )
        }
        try catalog.insert(all)
        let newest = try catalog.entries(limit: 20)
        #expect(newest.map(\.name.step) == Array((2980..<3000).reversed()))
        let every = try catalog.entries()
        #expect(every.count == 3000)
        for (found, (entry, _)) in zip(every.reversed(), all) { #expect(found.isSame(as: entry)) }
        #expect(newest.allSatisfy { entry in every.contains { $0.isSame(as: entry) } })
        #expect(try catalog.entry(named: all[7].manifest.name)?.isSame(as: all[7].entry) == true)
        try catalog.delete([all[7].manifest.name])
        #expect(try catalog.entry(named: all[7].manifest.name) == nil)
        #expect(try catalog.names().count == 2999)
    }
}

import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import SystemPackage
import Testing

@testable import CheckpointMaintenance
@testable import CheckpointStorage

/// A manifest that cannot be read may name any segment.
@Suite("Segments that only a damaged checkpoint names", .timeLimit(.minutes(5)))
struct UnreadableManifestTests {
    private let memory = InMemoryFileSystem()

    /// Saves three steps of a state that does not change, but for one tensor: all of them name the
    /// segment of the first.
    init() throws {
        let tensors = TestTensors(sizes: [40_000, 64])
        var options = smallOptions(workers: 2)
        options.deduplicates = true
        let checkpointer = try Checkpointer(
            store: openStore(memory), state: tensors, options: options)
        for step in 1...3 {
            checkpointer.mutate {
                if step == 1 { tensors.fillPattern(1) }
                tensors.fill(UInt64(step), tensor: 1)
            }
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
    }

    private func manifest(_ step: Int) throws -> Manifest {
        try openStore(memory, for: .reading).load(.step(step)).manifest
    }

    private func path(_ name: ManifestName) -> FilePath { FilePath("/store/manifests/\(name)") }

    @Test("They stay when another checkpoint is removed")
    func removal() throws {
        let (first, second) = (try manifest(1), try manifest(2))
        let shared = try #require(first.segments.first { segment in
            second.segments.contains { $0.name == segment.name }
        })
        // Step 3 does not keep the segment.
        try memory.remove(path(manifest(3).name))
        let whole = try #require(memory.files[path(second.name)])
        memory.overwrite(path(second.name), with: Array(whole.dropLast(16)))
        let store = try openStore(memory, for: .maintaining)
        let report = try store.remove([.step(1)], isForced: true)
        #expect(report.checkpoints.count == 1)
        #expect(memory.files[FilePath("/store/segments/\(shared.name)")] != nil)
        // The manifest comes back from somewhere, and all is there.
        memory.overwrite(path(second.name), with: whole)
        #expect(try openStore(memory, for: .reading).verify().isWhole)
    }

    @Test("One that was out of reach during a repair, and comes back, stays")
    func comesBack() throws {
        let newest = try manifest(3)
        let own = try #require(
            newest.segments.first { "\($0.name)".hasPrefix("\(newest.id)") })
        let segment = FilePath("/store/segments/\(own.name)")
        let bytes = try #require(memory.files[segment])
        try memory.remove(segment)
        let report = try openStore(memory, for: .maintaining).repair()
        #expect(report.losses.map(\.damaged.step) == [3])
        let file = try memory.create(segment)
        try file.write(bytes, at: 0)
        file.close()
        // No manifest names it now, but one in quarantine does.
        try openStore(memory).close()
        #expect(memory.files[segment] == bytes)
    }
}

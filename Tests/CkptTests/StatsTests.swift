import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `stats` on the real program.
@Suite(.timeLimit(.minutes(20))) struct StatsTests {
    /// After a repack an old checkpoint also names the blocks that its deltas are based on; they are
    /// not what it stores.
    @Test func basesAreNotCountedAsContent() throws {
        let folder = try TemporaryDirectory()
        let store = folder.path + "/store"
        let tensors = TestTensors(sizes: [1 << 20])
        let opened = try CheckpointStore.open(store, for: .writing)
        let checkpointer = try Checkpointer(store: opened, state: tensors)
        tensors.fillPattern(1)
        for step in 1...2 {
            checkpointer.mutate { tensors.write(UInt64(step), atWord: 512 * step) }
            try checkpointer.save(step: step).wait()
        }
        try checkpointer.close()
        try opened.close()
        let before = try ckpt("inspect", store, "1", "--json").json()
        #expect(before.integer("base_bytes") == 0)
        #expect(try ckpt("repack", store).status == 0)
        let list = try ckpt("ls", store, "--json").json().list("checkpoints")
        let old = try #require(list.first { $0.integer("step") == 1 })
        let (stored, bases) = (try #require(old.integer("stored_bytes")), try #require(old.integer("base_bytes")))
        #expect(bases > 0 && stored - bases < 1 << 18, "\(stored) \(bases)")
        let after = try ckpt("inspect", store, "1", "--json").json()
        let parts = ["own_bytes", "shared_bytes", "base_bytes"].map { after.integer($0) ?? -1 }
        #expect(parts[2] == bases && parts.reduce(0, +) == stored, "\(parts)")
        let text = try ckpt("inspect", store, "1").output
        #expect(text.contains("as bases of its deltas"), "\(text)")
        // The catalog says what the manifest says.
        #expect(try ckpt("verify", store).status == 0)
    }

    /// A checkpoint that shares one of 40 tensors in a block is not charged for the other 39.
    @Test func aBlockCountsByWhatIsUsedOfIt() throws {
        let folder = try TemporaryDirectory()
        let store = folder.path + "/store"
        let tensors = TestTensors(sizes: [Int](repeating: 8192, count: 40))
        var options = CheckpointerOptions()
        (options.deduplicates, options.compression) = (true, .none)
        let opened = try CheckpointStore.open(store, for: .writing)
        let checkpointer = try Checkpointer(store: opened, state: tensors, options: options)
        tensors.fillPattern(1)
        try checkpointer.save(step: 1).wait()
        checkpointer.mutate { for tensor in 1..<40 { tensors.write(7, atWord: 1024 * tensor) } }
        try checkpointer.save(step: 2).wait()
        try checkpointer.close()
        try opened.close()
        let list = try ckpt("ls", store, "--json").json().list("checkpoints")
        let new = try #require(list.first { $0.integer("step") == 2 })
        let figures = ["bytes", "stored_bytes", "base_bytes"].compactMap { new.integer($0) }
        try #require(figures.count == 3)
        #expect(figures[1] > figures[0] * 3 / 2, "nothing is shared: \(figures)")
        #expect(figures[1] - figures[2] <= figures[0] + 4096, "\(figures)")
        let shares = try ckpt("inspect", store, "2", "--json").json()
        let parts = ["own_bytes", "shared_bytes", "base_bytes"].map { shares.integer($0) ?? -1 }
        #expect(parts.reduce(0, +) == figures[1] && parts[1] < 16384, "\(parts)")
    }

    @Test func saysWhatTakesTheSpace() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        try FileManager.default.removeItem(atPath: sample.store + "/catalog.sqlite")  // its size depends on SQLite
        try golden.expect(ckpt("stats", sample.store), "stats.txt")
        try golden.expect(ckpt("stats", sample.store, "--json"), "stats.json")
    }

    @Test func addsUpAfterSharing() throws {
        let sample = try Sample()
        let trainer = try Trainer()
        var options = CheckpointerOptions()
        (options.deduplicates, options.compression) = (true, .zstd(level: 1))
        let checkpointer = try Checkpointer(store: openSoon(sample.store, for: .writing), state: trainer.state(), options: options)
        for step in 1...3 { try checkpointer.save(step: step).wait() }
        try checkpointer.close()
        let json = try ckpt("stats", sample.store, "--json").json()
        func sum(_ list: String, _ key: String) -> Int { json.list(list).reduce(0) { $0 + ($1.integer(key) ?? 0) } }
        let logical = try #require(json.integer("logical_bytes"))
        #expect(logical == sum("growth", "logical_bytes"))
        for list in ["classes", "types"] {
            #expect(sum(list, "logical_bytes") == logical)
            #expect(sum(list, "unique_bytes") == json.integer("unique_bytes"))
        }
        #expect(sum("codecs", "stored_bytes") == json.integer("stored_bytes"))
        #expect(sum("growth", "new_bytes") == json.integer("stored_bytes"))
        // Tensors are shared; the few bytes of objects are not worth it.
        #expect(json.list("growth").suffix(2).allSatisfy { $0.integer("new_bytes") ?? .max < 64 })
        let files = try ["manifests", "segments"].flatMap { directory in
            try sample.folder.names(in: "store/" + directory).map { "\(sample.store)/\(directory)/\($0)" }
        } + [sample.store + "/catalog.sqlite"]
        let sizes = try files.map { try FileManager.default.attributesOfItem(atPath: $0)[.size] as? Int ?? 0 }
        #expect(json.integer("disk_bytes") == sizes.reduce(0, +))
        #expect(try #require(json.number("sharing")) > 1 && #require(json.number("compression")) > 1)
    }

    @Test func anEmptyStoreAndADamagedOne() throws {
        let folder = try TemporaryDirectory()
        _ = try CheckpointStore.open(folder.path + "/store", for: .writing).id
        let empty = try ckpt("stats", folder.path + "/store")
        #expect(empty.status == 0 && empty.output.hasPrefix("0 checkpoints of 0 runs"))
        let sample = try Sample()
        try sample.folder.damage("store/manifests/\(sample.folder.names(in: "store/manifests")[0])", at: 100)
        let damaged = try ckpt("stats", sample.store, "--json")
        #expect(damaged.status == 1)
        #expect(try damaged.json().list("damaged").count == 1 && damaged.json().integer("checkpoints") == 1)
    }
}

import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `stats` on the real program.
@Suite(.timeLimit(.minutes(20))) struct StatsTests {
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

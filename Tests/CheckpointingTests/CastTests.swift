import CheckpointCodecs
import CheckpointFormat
@testable import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
import CheckpointMaintenance
import CheckpointSegments
import CheckpointState
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

/// Weights rounded from masters, as mixed precision keeps them: `w` in two bytes, `master` and `m` in four.
private final class MixedState: StateProvider, @unchecked Sendable {
    let layers: [(w: TensorBuffer, master: TensorBuffer, m: TensorBuffer)]
    let type: ElementType

    init(_ counts: [Int], _ type: ElementType = .bf16) throws {
        self.type = type
        layers = try counts.map {
            (try TensorBuffer(type, [$0]), try TensorBuffer(.f32, [$0]), try TensorBuffer(.f32, [$0]))
        }
    }

    func describe(to inventory: inout StateInventory) throws {
        for (index, layer) in layers.enumerated() {
            let group = "layer\(index)"
            inventory.add(tensor: "\(index).w", layer.w.view, role: .parameter, group: group)
            inventory.add(tensor: "\(index).m", layer.m.view, role: .optimizer, group: group)
            inventory.add(tensor: "\(index).master", layer.master.view, role: .optimizer, group: group)
        }
    }

    /// New masters and moments, and weights rounded from the masters.
    func step(_ random: inout SeededGenerator) {
        for layer in layers {
            for tensor in [layer.master, layer.m] {
                tensor.region.store((0..<tensor.region.count / 4).flatMap { _ in
                    let bits = Float.random(in: -0.1...0.1, using: &random).bitPattern
                    return (0..<4).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
                }[...])
            }
            round(layer)
        }
    }

    private func round(_ layer: (w: TensorBuffer, master: TensorBuffer, m: TensorBuffer)) {
        guard let codec = CastCodec.identifier(type) else { preconditionFailure("no two-byte floats") }
        CastCodec.decode(codec, layer.master.region, into: layer.w.region)
    }

    var bytes: [UInt8] { layers.flatMap { $0.w.region.array + $0.master.region.array + $0.m.region.array } }
}

@Suite("Tensors that are casts of others are not stored", .timeLimit(.minutes(20)))
struct CastStoreTests {
    private let memory = InMemoryFileSystem()
    /// Large ones in several chunks, some packed, and one that is too small for two rows of the manifest.
    private let counts = [30_000, 8192, 1000, 77, 2048, 3]

    private func options(_ compression: Compression = .none) -> CheckpointerOptions {
        var options = smallOptions(workers: 2)
        options.chunkBytes = 16384
        options.arenaBytes = 8 * 16384
        options.compression = compression
        return options
    }

    private func save(_ checkpointer: Checkpointer, _ step: Int) throws -> SaveReport {
        let ticket = try checkpointer.save(step: step)
        try ticket.wait()
        return try #require(ticket.report)
    }

    private func codecs(of name: String, step: Int, _ store: CheckpointStore) throws -> Set<CodecIdentifier> {
        let manifest = try store.load(.step(step)).manifest
        let record = try #require(manifest.tensors.first { $0.name == name })
        return Set(record.shards.flatMap { manifest.chunks[$0.chunks] }.map { manifest.blocks[$0.block].codec })
    }

    @Test(
        "only masters and moments are written, and the weights come back",
        arguments: [ElementType.bf16, .f16], [Compression.none, .balanced, .zstd(level: 1)])
    func saves(type: ElementType, compression: Compression) throws {
        var random = SeededGenerator(1)
        let state = try MixedState(counts, type)
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: options(compression))
        for step in 1...3 {
            checkpointer.mutate { state.step(&random) }
            let report = try save(checkpointer, step)
            #expect(report.derivedBytes == (counts.reduce(0, +) - 80) * 2, "all but the two smallest")
            #expect(report.logicalBytes == counts.reduce(0, +) * 10)
            if compression == .none { #expect(report.newBytes == counts.reduce(0, +) * 8 + 160) }
        }
        try checkpointer.close()
        let store = checkpointer.store
        #expect(try codecs(of: "0.w", step: 3, store) == [type == .bf16 ? .castBF16 : .castF16])
        #expect(try store.verify().isWhole)
        let whole = try MixedState(counts, type)
        try store.restore(.step(3), into: whole)
        #expect(whole.bytes == state.bytes)
        let weights = try MixedState(counts, type)
        try store.restore(.step(3), into: weights, matching: NamePattern("*.w"))
        for (copy, layer) in zip(weights.layers, state.layers) {
            #expect(copy.w.region.array == layer.w.region.array)
            #expect(copy.master.region.array.allSatisfy { $0 == 0 }, "not asked for")
        }
    }

    @Test("a weight that is off by one bit is stored as it is; its neighbours are casts", arguments: 0..<4)
    func almost(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let state = try MixedState(counts)
        state.step(&random)
        var bytes = state.layers[0].w.region.array
        bytes[random.below(bytes.count)] ^= 1
        state.layers[0].w.region.store(bytes[...])
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: options())
        #expect(try save(checkpointer, 1).derivedBytes == (counts.reduce(0, +) - 80) * 2 - min(8192, 60_000))
        try checkpointer.close()
        #expect(try codecs(of: "0.w", step: 1, checkpointer.store) == [.castBF16, .raw])
        let copy = try MixedState(counts)
        try checkpointer.store.restore(.latest, into: copy)
        #expect(copy.bytes == state.bytes)
    }

    @Test("not asked for, they are stored")
    func off() throws {
        var random = SeededGenerator(2)
        let state = try MixedState(counts)
        state.step(&random)
        var options = options()
        options.dropsCasts = false
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: options)
        #expect(try save(checkpointer, 1).derivedBytes == 0)
        try checkpointer.close()
    }

    @Test("with what the store holds already: frozen masters are not written, nor are their casts")
    func reuse() throws {
        var random = SeededGenerator(3)
        let state = try MixedState(counts)
        state.step(&random)
        var options = options()
        options.deduplicates = true
        options.keepLast = 1
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: options)
        _ = try save(checkpointer, 1)
        let second = try save(checkpointer, 2)
        #expect(second.newBytes == 0 && second.derivedBytes == (counts.reduce(0, +) - 80) * 2)
        try checkpointer.close()
        #expect(try checkpointer.store.verify().isWhole)
        let copy = try MixedState(counts)
        try checkpointer.store.restore(.latest, into: copy)
        #expect(copy.bytes == state.bytes)
    }

    @Test("repacked as deltas of newer masters, every checkpoint stays what it is")
    func repack() throws {
        var random = SeededGenerator(4)
        let contents = try makeHistory(&random)
        _ = try openStore(memory, for: .maintaining).repack()
        try check(try openStore(memory, for: .reading), contents, "repacked")
    }

    /// Checkpoints of five steps; in the middle one the weights are no casts.
    private func makeHistory(_ random: inout SeededGenerator) throws -> [Int: [UInt8]] {
        let state = try MixedState(counts)
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: options(.fast))
        var contents: [Int: [UInt8]] = [:]
        for step in 1...5 {
            checkpointer.mutate { state.step(&random) }
            if step == 3 { for layer in state.layers { layer.w.region.store(random.bytes(layer.w.region.count)[...]) } }
            contents[step] = state.bytes
            _ = try save(checkpointer, step)
        }
        try checkpointer.close()
        return contents
    }

    private func check(_ store: CheckpointStore, _ contents: [Int: [UInt8]], _ comment: Comment) throws {
        #expect(try store.verify().isWhole, comment)
        for (step, bytes) in contents {
            let copy = try MixedState(counts)
            try store.restore(.step(step), into: copy)
            #expect(copy.bytes == bytes, "step \(step), \(comment)")
        }
    }

    @Test("copied to another store, whole or one by one, before repacking and after", arguments: [false, true])
    func copies(repacked: Bool) throws {
        var random = SeededGenerator(6)
        let contents = try makeHistory(&random)
        if repacked { _ = try openStore(memory, for: .maintaining).repack() }
        let source = try openStore(memory, for: .reading)
        for references in [[], [4, 2, 3, 1, 5].map { CheckpointReference.step($0) }] {
            let other = InMemoryFileSystem()
            let target = try CheckpointStore(fileSystem: other, root: "/store", access: .writing, catalog: .nowhere)
            if references.isEmpty { _ = try source.copy(to: target) }
            for reference in references { _ = try source.copy([reference], to: target) }
            try check(target, contents, "copied")
            #expect(try codecs(of: "0.w", step: 5, target) == [.castBF16])
        }
    }

    @Test("what is left of a checkpoint that lost a master keeps the other weights")
    func salvage() throws {
        var random = SeededGenerator(7)
        let contents = try makeHistory(&random)
        let store = try openStore(memory, for: .reading)
        let manifest = try store.load(.step(4)).manifest
        let master = try #require(manifest.tensors.first { $0.name == "0.master" })
        let block = manifest.blocks[manifest.chunks[master.shards[0].chunks.lowerBound].block]
        let path = store.directories.path(of: manifest.segments[block.segment].name)
        var bytes = try #require(memory.files[path])
        bytes[block.offset + 7] ^= 1
        memory.overwrite(path, with: bytes)
        let report = try openStore(memory, for: .maintaining).repair()
        let loss = try #require(report.losses.first)
        #expect(report.losses.count == 1 && Set(loss.lostTensors) == ["0.w", "0.master"])
        let repaired = try openStore(memory, for: .reading)
        #expect(try repaired.verify().isWhole)
        try check(repaired, contents.filter { $0.key != 4 }, "not damaged")
        let salvaged = try MixedState(counts)
        try repaired.restore(.id(prefix: try #require(loss.salvaged).id.description), into: salvaged, matching: NamePattern("1.*"))
        let layer = counts[0] * 10..<(counts[0] + counts[1]) * 10
        #expect(Array(salvaged.bytes[layer]) == Array(contents[4]?[layer] ?? []))
    }

    @Test("statistics count each cast for itself")
    func statistics() throws {
        var random = SeededGenerator(8)
        _ = try makeHistory(&random)
        let statistics = try openStore(memory, for: .reading).statistics { _, _ in }.statistics
        let total = counts.reduce(0, +)
        #expect(statistics.total.logical == total * 50)
        #expect(statistics.types["bf16"]?.unique == total * 10, "in four checkpoints they are casts, and all of them differ")
        #expect(statistics.codecs["cast-bf16"]?.stored == 0 && statistics.codecs["cast-bf16"]?.raw == (total - 80) * 8)
    }

    @Test("a damaged master is a damaged weight, and both are named")
    func damage() throws {
        var random = SeededGenerator(5)
        let state = try MixedState([3000])
        state.step(&random)
        let checkpointer = try Checkpointer(store: openStore(memory), state: state, options: options())
        _ = try save(checkpointer, 1)
        try checkpointer.close()
        let manifest = try checkpointer.store.load(.latest).manifest
        let master = try #require(manifest.tensors.first { $0.name == "0.master" })
        let block = manifest.blocks[manifest.chunks[master.shards[0].chunks.lowerBound].block]
        let path = checkpointer.store.directories.path(of: manifest.segments[block.segment].name)
        var bytes = try #require(memory.files[path])
        bytes[block.offset + 100] ^= 1
        memory.overwrite(path, with: bytes)
        let findings = try checkpointer.store.verify().findings.filter { $0.kind == .damage }
        #expect(Set(findings.flatMap(\.tensors)) == ["0.w", "0.master"])
        let copy = try MixedState([3000])
        #expect(throws: CheckpointError.self) { try checkpointer.store.restore(.latest, into: copy, matching: NamePattern("*.w")) }
    }
}

import CheckpointCodecs
import CheckpointFormat
import Checkpointing
import CheckpointingTestSupport
import CheckpointIO
@testable import CheckpointMaintenance
@testable import CheckpointStorage
import CheckpointTestSupport
import SystemPackage
import Testing

@Suite("Tags and pins", .timeLimit(.minutes(20)))
struct MarkTests {
    private let memory = InMemoryFileSystem()

    private func tag(_ text: String) throws -> TagName { try #require(TagName(text)) }

    /// A run of steps 1 to `count`, which keeps all.
    private func makeStore(_ count: Int) throws {
        let tensors = TestTensors(sizes: [8192])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: smallOptions())
        for step in 1...count {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step, metrics: ["loss": step == 2 ? .nan : Double(10 - step % 4)]).wait()
        }
        try checkpointer.close()
    }

    @Test("a trainer's own retention leaves tagged and pinned checkpoints alone, also those marked while it runs")
    func expirySpares() throws {
        let tensors = TestTensors(sizes: [8192])
        var options = smallOptions()
        options.keepLast = 2
        options.deduplicates = true
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        for step in 1...8 {
            checkpointer.mutate { tensors.fill(UInt64(step)) }
            try checkpointer.save(step: step).wait()
            if step == 2 { try openForMaintaining(memory).tag(.step(2), tag("good")) }
            if step == 4 { try openForMaintaining(memory).pin(.step(4)) }
        }
        try checkpointer.close()
        let store = checkpointer.store
        #expect(try steps(of: store) == [8, 7, 4, 2])
        #expect(try store.verify().isWhole)
        let copy = TestTensors(sizes: [8192])
        try store.restore(.tag(tag("good")), into: copy)
        #expect(copy.distinctValues == [2])
        try store.unpin(.step(4))
        let next = try Checkpointer(store: store, state: tensors, options: options)
        try next.close()
        #expect(try steps(of: store) == [8, 7, 4, 2])
    }

    @Test("a mark made after the choice of what to remove is respected")
    func markedMeanwhile() throws {
        try makeStore(3)
        let store = try openStore(memory, for: .writing)
        let names = try store.files.names()
        try store.tag(.step(1), tag("late"))
        try Expiry(files: store.files, catalog: store.catalog).remove(Array(names.prefix(2)), discard: nil)
        #expect(try steps(of: store) == [3, 1])
    }

    @Test("a tag that cannot be read stops every removal, and is told of")
    func damagedTag() throws {
        try makeStore(1)
        try openStore(memory, for: .maintaining).tag(.step(1), tag("t"))
        memory.overwrite("/store/tags/t", with: [1, 2, 3])
        let warnings = Box<[String]>([])
        var options = smallOptions()
        options.keepLast = 1
        options.onEvent = { if case .warning(let text) = $0 { warnings.value.append(text) } }
        let tensors = TestTensors(sizes: [64])
        let checkpointer = try Checkpointer(store: openStore(memory), state: tensors, options: options)
        for step in 1...3 { try checkpointer.save(step: step).wait() }
        try checkpointer.close()
        #expect(try steps(of: checkpointer.store).count == 4)
        #expect(warnings.value.contains { $0.contains("tags/t") })
    }

    @Test("a crash at every operation leaves the old mark or the new one, and a second try succeeds")
    func everyOperation() throws {
        try makeStore(3)
        try openStore(memory, for: .maintaining).tag(.step(1), tag("t"))
        var random = SeededGenerator(7)
        for k in 0... {
            let disk = memory.crashed(&random)
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the crash.
            let store = try? openStore(dying, for: .maintaining)
            _ = try? store?.tag(.step(2), tag("t"), force: true)
            _ = try? store?.pin(.step(3))
            let left = disk.crashed(&random)
            let after = try openStore(left)
            let tags = try after.tags()
            #expect(tags.count == 1 && [1, 2].contains(tags[0].step), "crash at operation \(k)")
            #expect(try left.list("/store/staging").isEmpty, "crash at operation \(k)")
            try after.tag(.step(3), tag("t"), force: true)
            try after.pin(.step(3))
            #expect(try after.tags().map(\.step) == [3] && after.marks().pins.count == 1)
            if counter.operations <= k {
                #expect(k > 8)
                break
            }
        }
    }

    @Test("a process is killed while it marks, the next finds the mark, and then power fails")
    func killedBefore() throws {
        try makeStore(2)
        var random = SeededGenerator(4)
        for k in 0... {
            let disk = memory.crashed(&random)
            let writer = try openStore(disk)
            let counter = FaultCounter()
            let dying = HookedFileSystem(disk, before: counter.hook(failAt: k, .ioError, forEver: true))
            // The failure is the kill.
            if let store = try? openForMaintaining(dying) {
                _ = try? store.tag(.step(2), tag("good"))
                _ = try? store.pin(.step(1))
            }
            try writer.tag(.step(2), tag("good"))
            try writer.pin(.step(1))
            let store = try openStore(disk.crashed(&random), for: .reading)
            let marks = try store.marks()
            #expect(marks.tags.count == 1 && marks.pins.count == 1, "killed at operation \(k)")
            if counter.operations <= k { break }
        }
    }

    @Test("best is the smallest or the largest, never NaN, the newest of equals")
    func best() throws {
        try makeStore(8)
        let store = try openStore(memory, for: .reading)
        // 1: 9, 2: nan, 3: 7, 4: 10, 5: 9, 6: 8, 7: 7, 8: 10
        #expect(try store.load(#require(CheckpointReference("best:loss"))).manifest.step == 7)
        #expect(try store.load(#require(CheckpointReference("best:loss:max"))).manifest.step == 8)
        #expect(Best(metric: "m", isLargest: false).choose([("a", .nan)])?.name == nil)
        #expect(Best(metric: "m", isLargest: true).choose([("a", .nan), ("b", -.infinity)])?.name == "b")
    }

    @Test("what a reference may look like")
    func references() throws {
        #expect(CheckpointReference("best:a:b:max") == .best(metric: "a:b", isLargest: true))
        #expect(CheckpointReference("best:loss:min") == .best(metric: "loss", isLargest: false))
        #expect(CheckpointReference("exp:a:7") == .stepOfRun("exp:a", step: 7) && CheckpointReference(":7") == nil)
        #expect(CheckpointReference("01a1:step-7") == .stepOfRun("01a1", step: 7) && CheckpointReference("a:b") == nil)
        #expect(CheckpointReference("best:") == nil && CheckpointReference("best::max") == nil)
        #expect(try CheckpointReference("v1.0") == .tag(tag("v1.0")))
        #expect(CheckpointReference("beef") == .id(prefix: "beef"))
        // A table shows 12 digits of an id, which may all be decimal.
        #expect(CheckpointReference("123456789012") == .id(prefix: "123456789012"))
        #expect(CheckpointReference("12345678901") == .step(12_345_678_901))
        #expect(CheckpointReference("step-9223372036854775807") == .step(.max))
        #expect(CheckpointReference("12345678901234567890") == .id(prefix: "12345678901234567890"))
    }

    @Test("a mark is read back; every flipped bit and every length is found")
    func file() throws {
        let mark = Mark(name: ManifestName(run: .next(clockMilliseconds: 1, after: nil), step: 7), id: .random())
        let bytes = mark.encoded(digest: Hashing.digest)
        #expect(bytes.count == Mark.bytes)
        #expect(try Mark(decoding: bytes, digest: Hashing.digest) == mark)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1
            #expect(throws: FormatError.self) { _ = try Mark(decoding: damaged, digest: Hashing.digest) }
            #expect(throws: FormatError.self) { _ = try Mark(decoding: Array(bytes[..<index]), digest: Hashing.digest) }
        }
    }

    @Test("distances are those of Levenshtein")
    func distances() {
        #expect(Nearest.distance(Array("kitten".utf8), Array("sitting".utf8)) == 3)
        #expect(Nearest.distance([], Array("abc".utf8)) == 3)
        #expect(Nearest.byDistance("lr", ["loss", "lr2", "l"]) == ["l", "lr2", "loss"])
        #expect(Nearest.byPrefix("abcd", ["abff", "abc0", "ffff"]) == ["abc0", "abff"])
    }
}

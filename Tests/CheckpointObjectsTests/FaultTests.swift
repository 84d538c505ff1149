import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import SystemPackage
import Testing

@testable import CheckpointObjects
@testable import CheckpointStorage

/// One request goes wrong, each in turn, in each way.
@Suite(
    "Faults between a store and its bucket", .timeLimit(.minutes(15)), .serialized,
    .enabled(if: Requirement.objects.isTested, "\(Requirement.objects.reason)"))
struct FaultTests {
    private static let sizes = [400_000, 64, 20_000]

    /// Requests of these tests wait for a short time.
    private static let settings: S3Client.Settings = {
        var settings = S3Client.Settings(region: "us-east-1")
        settings.requestTime = .milliseconds(1500)
        settings.retries.time = .seconds(20)
        return settings
    }()

    /// Faults after which a request is tried again, since they say nothing about the object.
    private static let passing: Set<FaultProxy.Fault> = [
        .internalError, .slowDown, .expiredToken, .resetBefore, .duplicated,
    ]

    private func options() -> CheckpointerOptions {
        var options = smallOptions(workers: 2)
        (options.chunkBytes, options.arenaBytes) = (65536, 4 * 65536)
        return options
    }

    private static let seed = Seeds.random()

    /// The requests that go wrong, of so many: all with CKPT_FAULTS=all, a draw otherwise, another
    /// one for each fault.
    private func chosen(
        of count: Int, _ fault: FaultProxy.Fault, drawn: Int = 4
    ) -> [Int] {
        if ProcessInfo.processInfo.environment["CKPT_FAULTS"] == "all" { return Array(0..<count) }
        let index = FaultProxy.Fault.allCases.firstIndex(of: fault) ?? 0
        var random = SeededGenerator(Self.seed &+ UInt64(index))
        return Array((0..<count).shuffled(using: &random).prefix(drawn))
    }

    private func open(
        _ objects: any ObjectStore, _ cache: TemporaryDirectory, _ access: CheckpointStore.Access
    ) throws -> CheckpointStore {
        // The store is tried by tests of its own.
        try CheckpointStore(
            fileSystem: ObjectFileSystem(
                objects, root: "s3:/tests/run", cache: FilePath(cache.path)),
            root: "s3:/tests/run", access: access, catalog: .nowhere)
    }

    /// Saves one step.
    ///
    /// - Returns: the state's bytes if the save is committed; nil if it says that it failed.
    private func save(
        _ step: Int, to objects: any ObjectStore, _ sizes: [Int] = sizes
    ) throws -> [UInt8]? {
        let cache = try TemporaryDirectory()
        let store = try open(objects, cache, .writing)
        let tensors = TestTensors(sizes: sizes)
        let checkpointer = try Checkpointer(
            store: store, state: tensors, options: options())
        checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
        let isCommitted = (try? checkpointer.save(step: step).wait()) != nil
        // Its error is that of the save.
        try? checkpointer.close()
        try? store.close()
        withExtendedLifetime(cache) {}
        return isCommitted ? tensors.bytes : nil
    }

    private func restored(
        _ step: Int, from objects: any ObjectStore, _ sizes: [Int] = sizes
    ) throws -> [UInt8] {
        let tensors = TestTensors(sizes: sizes)
        let cache = try TemporaryDirectory()
        try open(objects, cache, .reading).restore(.step(step), into: tensors)
        return tensors.bytes
    }

    @Test("of a save", arguments: FaultProxy.Fault.allCases)
    func saving(_ fault: FaultProxy.Fault) throws {
        try checkSaves(fault, Self.sizes, .init(), drawn: 4)
    }

    @Test("of a save whose segment is uploaded in parts while it is written",
        arguments: FaultProxy.Fault.allCases)
    func savingParts(_ fault: FaultProxy.Fault) throws {
        // Parts as small as the store allows.
        var upload = S3ObjectStore.Upload()
        upload.partBytes = 5 << 20
        try checkSaves(fault, [11_000_000], upload, drawn: 1)
    }

    private func checkSaves(
        _ fault: FaultProxy.Fault, _ sizes: [Int], _ upload: S3ObjectStore.Upload, drawn: Int
    ) throws {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        /// Saves step 1 directly and step 2 through the proxy, and checks what a reader finds.
        func attempt(_ fault: FaultProxy.Fault?, at request: Int) throws -> Bool {
            let prefix = UUID().uuidString.lowercased()
            let direct = server.objects(upload: upload, prefix: prefix)
            let first = try #require(try save(1, to: direct, sizes))
            proxy.plan(fault, at: request)
            let faulty = server.objects(
                through: proxy.endpoint, settings: Self.settings, upload: upload, prefix: prefix)
            let second = try? save(2, to: faulty, sizes)
            let comment: Comment = "\(String(describing: fault)) at \(request), seed \(Self.seed)"
            #expect(try restored(1, from: direct, sizes) == first, comment)
            let committed = second ?? nil
            if let committed { #expect(try restored(2, from: direct, sizes) == committed, comment) }
            let cache = try TemporaryDirectory()
            #expect(try open(direct, cache, .reading).verify().isWhole, comment)
            return committed != nil
        }
        #expect(try attempt(nil, at: 0))
        let count = proxy.count
        try #require(count > 10)
        for request in chosen(of: count, fault, drawn: drawn) {
            let isCommitted = try attempt(fault, at: request)
            #expect(isCommitted || !Self.passing.contains(fault), "\(fault) at \(request), seed \(Self.seed)")
            #expect(proxy.count <= count + 12, "\(fault) at \(request), seed \(Self.seed)")
        }
    }

    @Test("of a restore", arguments: FaultProxy.Fault.allCases)
    func restoring(_ fault: FaultProxy.Fault) throws {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        let prefix = UUID().uuidString.lowercased()
        let content = try #require(try save(1, to: server.objects(prefix: prefix)))
        func attempt(_ fault: FaultProxy.Fault?, at request: Int) -> [UInt8]? {
            proxy.plan(fault, at: request)
            let faulty = server.objects(
                through: proxy.endpoint, settings: Self.settings, prefix: prefix)
            return try? restored(1, from: faulty)
        }
        #expect(attempt(nil, at: 0) == content)
        let count = proxy.count
        try #require(count > 5)
        for request in chosen(of: count, fault) {
            let found = attempt(fault, at: request)
            // An error is an answer; a wrong byte is not.
            if let found { #expect(found == content, "\(fault) at \(request), seed \(Self.seed)") }
            let mayFail: [FaultProxy.Fault] = [.flipped, .preconditionFailed, .conflict]
            #expect(found != nil || mayFail.contains(fault), "\(fault) at \(request), seed \(Self.seed)")
            #expect(proxy.count <= count + 12, "\(fault) at \(request), seed \(Self.seed)")
        }
    }

    @Test("of a mirror", arguments: FaultProxy.Fault.allCases)
    func mirroring(_ fault: FaultProxy.Fault) throws {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        let directory = try TemporaryDirectory()
        let path = directory.appending("store")
        let tensors = TestTensors(sizes: Self.sizes)
        var contents: [Int: [UInt8]] = [:]
        try withCheckpointer(path, state: tensors, options: options()) { checkpointer in
            for step in 1...2 {
                checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
                contents[step] = tensors.bytes
                try checkpointer.save(step: step).wait()
            }
        }
        let source = try CheckpointStore.open(path)
        /// Mirrors through the proxy, and then directly.
        ///
        /// - Returns: whether the first was complete.
        func attempt(_ fault: FaultProxy.Fault?, at request: Int) throws -> Bool {
            let prefix = UUID().uuidString.lowercased()
            let direct = server.objects(prefix: prefix)
            proxy.plan(fault, at: request)
            let faulty = server.objects(
                through: proxy.endpoint, settings: Self.settings, prefix: prefix)
            let report = try? StoreMirror(of: source, to: faulty).synchronize()
            let isSent = report?.checkpoints.allSatisfy { $0.outcome == .mirrored } ?? false
            let comment: Comment = "\(String(describing: fault)) at \(request), seed \(Self.seed)"
            let sent = proxy.count
            // What is there is whole, and what is said to be sent is there.
            var found: [Int] = []
            if try direct.size(of: "store.json") != nil {
                let cache = try TemporaryDirectory()
                let reader = try open(direct, cache, .reading)
                found = try steps(of: reader).compactMap { $0 }
                #expect(try reader.verify().isWhole, comment)
            }
            for step in found { #expect(try restored(step, from: direct) == contents[step], comment) }
            if isSent { #expect(found == [2, 1], comment) }
            _ = try StoreMirror(of: source, to: direct).synchronize()
            for step in 1...2 {
                #expect(try restored(step, from: direct) == contents[step], comment)
            }
            #expect(proxy.count == sent, comment)
            return isSent
        }
        #expect(try attempt(nil, at: 0))
        let count = proxy.count
        try #require(count > 10)
        for request in chosen(of: count, fault) {
            let isSent = try attempt(fault, at: request)
            #expect(isSent || !Self.passing.contains(fault), "\(fault) at \(request), seed \(Self.seed)")
            #expect(proxy.count <= count + 12, "\(fault) at \(request), seed \(Self.seed)")
        }
    }

    @Test("of a prune", arguments: FaultProxy.Fault.allCases)
    func pruning(_ fault: FaultProxy.Fault) throws {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        var policy = RetentionPolicy()
        policy.keepLast = 1
        /// Saves two steps of one run, prunes through the proxy, and then directly.
        ///
        /// - Returns: whether the first prune ended without an error.
        func attempt(_ fault: FaultProxy.Fault?, at request: Int) throws -> Bool {
            let prefix = UUID().uuidString.lowercased()
            let direct = server.objects(prefix: prefix)
            let tensors = TestTensors(sizes: Self.sizes)
            let cache = try TemporaryDirectory()
            let store = try open(direct, cache, .writing)
            let checkpointer = try Checkpointer(store: store, state: tensors, options: options())
            for step in 1...2 {
                checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.close()
            try store.close()
            proxy.plan(fault, at: request)
            let faulty = server.objects(
                through: proxy.endpoint, settings: Self.settings, prefix: prefix)
            let comment: Comment = "\(String(describing: fault)) at \(request), seed \(Self.seed)"
            var report: PruneReport?
            do {
                let pruned = try open(faulty, cache, .maintaining)
                report = try? pruned.prune(policy)
                try pruned.close()
            } catch {}  // A store that cannot be opened is as it was.
            let reader = try open(direct, cache, .reading)
            let found = try steps(of: reader).compactMap { $0 }
            #expect(found == [2, 1] || found == [2], comment)
            if report?.removedCount == 1 { #expect(found == [2], comment) }
            #expect(try reader.verify().isWhole, comment)
            #expect(try restored(2, from: direct) == tensors.bytes, comment)
            return report?.removedCount == 1
        }
        #expect(try attempt(nil, at: 0))
        let count = proxy.count
        try #require(count > 10)
        for request in chosen(of: count, fault) {
            let isPruned = try attempt(fault, at: request)
            #expect(isPruned || !Self.passing.contains(fault), "\(fault) at \(request), seed \(Self.seed)")
            #expect(proxy.count <= count + 12, "\(fault) at \(request), seed \(Self.seed)")
        }
    }

    @Test("of an upload in parts", arguments: FaultProxy.Fault.allCases)
    func uploading(_ fault: FaultProxy.Fault) throws {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        // Parts as small as the store allows.
        var upload = S3ObjectStore.Upload()
        upload.partBytes = 5 << 20
        let content = (0..<11 << 20).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 12) }
        let key = "segments/0123456789abcdef0123456789abcdef-00000-00000.segment"
        /// Uploads through the proxy.
        ///
        /// - Returns: whether the object is said to be there.
        func attempt(_ fault: FaultProxy.Fault?, at request: Int) throws -> Bool {
            let prefix = UUID().uuidString.lowercased()
            let direct = server.objects(prefix: prefix)
            proxy.plan(fault, at: request)
            let faulty = server.objects(
                through: proxy.endpoint, settings: Self.settings, upload: upload, prefix: prefix)
            var isSent = true
            do { try faulty.upload(key, from: MemoryFile(content)) } catch { isSent = false }
            let comment: Comment = "\(String(describing: fault)) at \(request), seed \(Self.seed)"
            let size = try direct.size(of: key)
            #expect(size == content.count || size == nil && !isSent, comment)
            if size != nil {
                #expect(try direct.bytes(of: key, count: content.count) == content, comment)
            }
            // Of a request whose answer is lost, an upload stays that nobody knows.
            #expect(try direct.abortStaleUploads(olderThan: .zero) <= 1, comment)
            try direct.remove(key)
            return isSent
        }
        #expect(try attempt(nil, at: 0))
        let count = proxy.count
        try #require(count >= 6)
        for request in chosen(of: count, fault) {
            let isSent = try attempt(fault, at: request)
            #expect(isSent || !Self.passing.contains(fault), "\(fault) at \(request), seed \(Self.seed)")
            #expect(proxy.count <= count + 12, "\(fault) at \(request), seed \(Self.seed)")
        }
    }

    @Test("A store that ignores the condition of a create, or does not know it, is refused",
        arguments: [
            (FaultProxy.Manner.ignoresCondition, "simultaneous creates"),
            (.refusesCondition, "NotImplemented"),
        ])
    func refused(_ manner: FaultProxy.Manner, _ reason: String) throws {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        let prefix = UUID().uuidString.lowercased()
        let direct = server.objects(prefix: prefix)
        proxy.imitate(manner) { path in
            try? direct.remove(String(path.dropFirst("/tests/\(prefix)/".count)))
        }
        let objects = server.objects(
            through: proxy.endpoint, settings: Self.settings, prefix: prefix)
        let error = #expect(throws: ObjectStoreError.self) { try ConditionProbe(objects).run() }
        #expect(error?.kind == .unsupported)
        #expect(error?.detail.contains(reason) == true, "\(String(describing: error))")
    }

    @Test("Saving, mirroring and copying take no more requests than is said in advance")
    func cost() throws {
        let server = try #require(ObjectServer.shared)
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        func faulty() -> S3ObjectStore {
            server.objects(
                through: proxy.endpoint, settings: Self.settings,
                prefix: UUID().uuidString.lowercased())
        }
        let tensors = TestTensors(sizes: [40 << 20])
        let directory = try TemporaryDirectory()
        let caches = try [TemporaryDirectory(), TemporaryDirectory()]
        defer { withExtendedLifetime(caches) {} }
        func save(_ store: CheckpointStore, steps: Int) throws {
            let checkpointer = try Checkpointer(store: store, state: tensors, options: options())
            for step in 1...steps {
                checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
                try checkpointer.save(step: step).wait()
            }
            try checkpointer.close()
        }
        let bytes = 41 << 20
        proxy.plan(nil, at: 0)
        let bucket = try open(faulty(), caches[0], .writing)
        try save(bucket, steps: 2)
        #expect(
            proxy.count
                <= TransferCost(segments: 2, bytes: 2 * bytes, checkpoints: 2).requests)
        let path = directory.appending("store")
        let local = try CheckpointStore.open(path, for: .writing)
        try save(local, steps: 3)
        proxy.plan(nil, at: 0)
        _ = try StoreMirror(of: local, to: faulty()).synchronize()
        let mirrored = proxy.count
        #expect(
            mirrored <= TransferCost(segments: 3, bytes: 3 * bytes, checkpoints: 3).requests)
        // More than the parts alone: the count is one.
        #expect(mirrored > 3 * (bytes >> 24))
        proxy.plan(nil, at: 0)
        let target = try open(faulty(), caches[1], .writing)
        let report = try local.copy(to: target)
        #expect(
            proxy.count <= TransferCost(copying: report.checkpoints.map(\.newBytes)).requests)
    }
}

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

/// A mirror that the trainer's process keeps up to date.
@Suite("Mirror beside a trainer", .timeLimit(.minutes(10)))
struct BackgroundMirrorTests {
    private static let sizes = [40_000, 64, 20_000]
    private let directory: TemporaryDirectory
    private let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.appending("store")
    }

    private func options(keepLast: Int? = nil) -> CheckpointerOptions {
        var options = smallOptions(workers: 2)
        (options.deduplicates, options.run) = (true, "experiment")
        options.keepLast = keepLast
        return options
    }

    private func mirror(
        _ objects: any ObjectStore, keeping policy: RetentionPolicy? = nil
    ) -> BackgroundMirror {
        var mirror = BackgroundMirror(
            objects, cache: FilePath(directory.appending("cache")), keeping: policy)
        mirror.prunesEvery = .zero
        return mirror
    }

    private func reader(_ objects: any ObjectStore) throws(CheckpointError) -> CheckpointStore {
        try CheckpointStore.open(
            objects, root: FilePath(objects.description),
            cache: FilePath(directory.appending("reader")), for: .reading)
    }

    /// Continues the run, and saves steps.
    ///
    /// - Returns: the contents by step, and the report of the resume.
    @discardableResult
    private func train(
        _ steps: ClosedRange<Int>, _ mirror: BackgroundMirror,
        options: CheckpointerOptions? = nil, resumed expected: [UInt8]? = nil,
        onEvent: @escaping @Sendable (CheckpointEvent) -> Void = { _ in },
        whileOpen: (Checkpointer) throws -> Void = { _ in }
    ) throws -> (contents: [Int: [UInt8]], resumed: RestoreReport?) {
        let tensors = TestTensors(sizes: Self.sizes)
        var options = options ?? self.options()
        options.onEvent = onEvent
        var contents: [Int: [UInt8]] = [:]
        var resumed: RestoreReport?
        try withCheckpointer(path, state: tensors, options: options, mirror: mirror) {
            checkpointer in
            resumed = try checkpointer.resume()
            if let expected { #expect(tensors.bytes == expected) }
            for step in steps {
                checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
                contents[step] = tensors.bytes
                try checkpointer.save(step: step).wait()
            }
            try whileOpen(checkpointer)
        }
        return (contents, resumed)
    }

    private func check(_ store: CheckpointStore, _ contents: [Int: [UInt8]]) throws {
        #expect(try steps(of: store).compactMap { $0 }.sorted() == contents.keys.sorted())
        for (step, bytes) in contents {
            let tensors = TestTensors(sizes: Self.sizes)
            try store.restore(.step(step), into: tensors)
            #expect(tensors.bytes == bytes, "step \(step)")
        }
        #expect(try store.verify().isWhole)
    }

    @Test("A trainer whose disk is lost resumes from it, and the run goes on",
        arguments: ObjectStoreContractTests.kinds)
    func lostDisk(_ kind: ObjectStoreContractTests.Kind) throws {
        let objects = ObjectStoreContractTests.make(kind, in: directory)
        let mirrored = Monitor<[Int]>([], rank: .unchecked)
        var (contents, first) = try train(1...3, mirror(objects)) { event in
            if case .mirrored(let step, let bytes) = event {
                #expect(bytes > 0)
                mirrored.withLock { $0.append(step) }
            }
        }
        #expect(first == nil)
        #expect(mirrored.withLock { $0.sorted() } == [1, 2, 3])
        try check(reader(objects), contents)
        let id = try CheckpointStore.open(path).id

        try FileManager.default.removeItem(atPath: path)
        let (more, resumed) = try train(4...5, mirror(objects), resumed: contents[3])
        #expect(resumed?.step == 3 && resumed?.mirror == objects.description)
        contents.merge(more) { $1 }
        try check(reader(objects), contents)
        let store = try CheckpointStore.open(path)
        #expect(store.id == id)
        #expect(try steps(of: store) == [5, 4])

        let (_, again) = try train(6...6, mirror(objects), resumed: contents[5])
        #expect(again?.step == 5 && again?.mirror == nil)
        // One run with three restarts.
        let found = try reader(objects).checkpoints().map { try $0.get() }
        #expect(Set(found.map(\.runName)) == ["experiment"])
        #expect(Set(found.map(\.origin.run)).count == 1 && Set(found.map(\.origin.branch)).count == 1)
        #expect(found.map(\.origin.restart) == [2, 1, 1, 0, 0, 0])
    }

    @Test("What is damaged on the disk is restored from it")
    func damage() throws {
        let objects = InMemoryObjectStore()
        let (contents, _) = try train(1...3, mirror(objects))
        let store = try CheckpointStore.open(path)
        let newest = try #require(try store.files.names().last)
        let segment = try #require(try store.files.load(newest).manifest.segments.last)
        let file = "\(path)/segments/\(segment.name)"
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try handle.seek(toOffset: 8192)
        try handle.write(contentsOf: [UInt8](repeating: 0x5A, count: 4096))
        try handle.close()
        // Without the mirror, the checkpoint before it.
        let tensors = TestTensors(sizes: Self.sizes)
        #expect(try store.restore(.latest, into: tensors).step == 2)

        let (_, resumed) = try train(4...4, mirror(objects), resumed: contents[3])
        #expect(resumed?.step == 3 && resumed?.mirror == objects.description)
        let (_, next) = try train(5...5, mirror(objects))
        #expect(next?.step == 4 && next?.mirror == nil)
    }

    @Test("A damaged disk and a mirror that fails leave the older checkpoint, whole")
    func damageWithoutMirror() throws {
        let objects = InMemoryObjectStore()
        let (contents, _) = try train(1...3, mirror(objects))
        let store = try CheckpointStore.open(path)
        let newest = try #require(try store.files.names().last)
        let segment = try #require(try store.files.load(newest).manifest.segments.last)
        try FileManager.default.removeItem(atPath: "\(path)/segments/\(segment.name)")
        let failing = HookedObjectStore(objects) { operation, key throws(ObjectStoreError) in
            // The manifest is read, and then the connection is lost.
            if operation == "read", key.hasPrefix("segments/") {
                throw ObjectStoreError(.noAnswer, "GET", key, "no answer")
            }
        }
        let warnings = Monitor<[String]>([], rank: .unchecked)
        let (_, resumed) = try train(
            4...4, mirror(failing), resumed: contents[2],
            onEvent: { event in
                if case .warning(let text) = event { warnings.withLock { $0.append(text) } }
            })
        #expect(resumed?.step == 2 && resumed?.mirror == nil)
        #expect(warnings.withLock { $0 }.contains { $0.contains("no answer") })
    }

    @Test("A new store whose mirror cannot be read is not begun anew in silence")
    func unreachable() throws {
        let isOffline = Monitor(true, rank: .unchecked)
        let objects = HookedObjectStore(InMemoryObjectStore()) {
            operation, key throws(ObjectStoreError) in
            guard isOffline.withLock({ $0 }) else { return }
            throw ObjectStoreError(.noAnswer, operation, key, "no route to host")
        }
        #expect {
            try train(1...1, mirror(objects))
        } throws: {
            let error = $0 as? CheckpointError
            return error?.code == .io && error?.message.contains("no route to host") == true
        }
        #expect(try !CheckpointStore.exists(at: path))
        isOffline.withLock { $0 = false }
        let (contents, _) = try train(1...1, mirror(objects))
        try check(reader(objects), contents)
    }

    @Test("A mirror that cannot be reached does not stop training, and is brought up to date later")
    func outage() throws {
        let isOffline = Monitor(false, rank: .unchecked)
        let memory = InMemoryObjectStore()
        let objects = HookedObjectStore(memory) { operation, key throws(ObjectStoreError) in
            guard isOffline.withLock({ $0 }) else { return }
            throw ObjectStoreError(.noAnswer, operation, key, "no route to host")
        }
        var (contents, _) = try train(1...1, mirror(objects))
        isOffline.withLock { $0 = true }
        let warnings = Monitor<[String]>([], rank: .unchecked)
        let more = try train(
            2...4, mirror(objects),
            onEvent: { event in
                if case .warning(let text) = event { warnings.withLock { $0.append(text) } }
            }
        ) { checkpointer in
            #expect(throws: CheckpointError.self) {
                try checkpointer.waitUntilMirrored(within: .seconds(30))
            }
            #expect(throws: CheckpointError.self) {
                try checkpointer.waitUntilMirrored(within: .seconds(30))
            }
        }
        contents.merge(more.contents) { $1 }
        // Once for the cause, and once when it is closed.
        let told = warnings.withLock { $0 }
        #expect(told.count { $0.contains("tried again") } == 1)
        #expect(told.count { $0.contains("not everything is in the mirror") } == 1)
        #expect(try steps(of: reader(memory)) == [1])
        try check(CheckpointStore.open(path), contents)

        isOffline.withLock { $0 = false }
        contents.merge(try train(5...5, mirror(objects)).contents) { $1 }
        try check(reader(memory), contents)
    }

    @Test("It comes back after an outage while the trainer goes on")
    func recovery() throws {
        let isOffline = Monitor(false, rank: .unchecked)
        let memory = InMemoryObjectStore()
        let objects = HookedObjectStore(memory) { operation, key throws(ObjectStoreError) in
            guard isOffline.withLock({ $0 }) else { return }
            throw ObjectStoreError(.noAnswer, operation, key, "no route to host")
        }
        let failures = Monitor(0, rank: .unchecked)
        let (contents, _) = try train(
            1...2, mirror(objects),
            onEvent: { event in
                if case .committed(let report) = event, report.step == 1 {
                    isOffline.withLock { $0 = true }
                }
                if case .warning = event { failures.withLock { $0 += 1 } }
            }
        ) { checkpointer in
            #expect(eventually { failures.withLock { $0 } > 0 })
            isOffline.withLock { $0 = false }
            try checkpointer.waitUntilMirrored(within: .seconds(60))
            #expect(try steps(of: reader(memory)) == [2, 1])
        }
        try check(reader(memory), contents)
    }

    @Test("The mirror keeps what its own rules keep")
    func retention() throws {
        let objects = InMemoryObjectStore()
        var policy = RetentionPolicy()
        policy.keepEvery = 10
        let (contents, _) = try train(
            1...25, mirror(objects, keeping: policy), options: options(keepLast: 2)
        ) { _ in
        } whileOpen: { try $0.waitUntilMirrored(within: .seconds(60)) }
        #expect(try steps(of: CheckpointStore.open(path)).prefix(2) == [25, 24])
        let kept = try steps(of: reader(objects)).compactMap { $0 }
        // Of each ten steps the first that was sent, and the newest.
        #expect(kept.first == 25 && kept.count <= 4)
        #expect(Set(kept.dropFirst().map { $0 / 10 }).count == kept.count - 1)
        try check(reader(objects), contents.filter { kept.contains($0.key) })
    }

    @Test("A checkpoint that is being sent is not removed meanwhile")
    func sending() throws {
        let memory = InMemoryObjectStore()
        let (gate, isHeld) = (Gate(isOpen: false), Monitor(false, rank: .unchecked))
        let objects = HookedObjectStore(memory) { operation, key throws(ObjectStoreError) in
            guard operation == "upload", key.hasPrefix("segments/") else { return }
            isHeld.withLock { $0 = true }
            gate.wait()
        }
        let tensors = TestTensors(sizes: Self.sizes)
        var contents: [Int: [UInt8]] = [:]
        try withCheckpointer(
            path, state: tensors, options: options(keepLast: 1), mirror: mirror(objects)
        ) { checkpointer in
            for step in 1...5 {
                checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
                contents[step] = tensors.bytes
                try checkpointer.save(step: step).wait()
                guard step == 1 else { continue }
                let held = isHeld.waitFor(timeout: .seconds(60)) { $0 ? true : nil }
                #expect(held == true)
            }
            #expect(try eventually { try steps(of: checkpointer.store) == [5, 1] })
            gate.isOpen = true
            try checkpointer.waitUntilMirrored(within: .seconds(60))
            #expect(try steps(of: reader(memory)) == [5, 1])
            try check(reader(memory), contents.filter { [1, 5].contains($0.key) })
            checkpointer.mutate { tensors.fillPattern(6) }
            contents[6] = tensors.bytes
            try checkpointer.save(step: 6).wait()
        }
        #expect(try steps(of: CheckpointStore.open(path)) == [6])
        #expect(try steps(of: reader(memory)) == [6, 5, 1])
    }

    @Test("Closing waits for it no longer than its deadline, and the next process sends the rest")
    func deadline() throws {
        let memory = InMemoryObjectStore()
        let gate = Gate(isOpen: false)
        let objects = HookedObjectStore(memory) { operation, _ throws(ObjectStoreError) in
            if operation == "upload" { gate.wait() }
        }
        var options = options()
        options.mirrorDeadline = .milliseconds(100)
        let warnings = Monitor<[String]>([], rank: .unchecked)
        let opener = try WorkerThread(name: "opener") {
            // `close` then waits for the request in hand.
            _ = warnings.waitFor(timeout: .seconds(60)) { $0.isEmpty ? nil : true }
            gate.isOpen = true
        }
        var (contents, _) = try train(
            1...3, mirror(objects), options: options,
            onEvent: { event in
                if case .warning(let text) = event { warnings.withLock { $0.append(text) } }
            })
        opener.join()
        #expect(warnings.withLock { $0 }.contains { $0.contains("not up to date after") })
        #expect(try steps(of: reader(memory)).count < 3)
        contents.merge(try train(4...4, mirror(objects)).contents) { $1 }
        try check(reader(memory), contents)
    }

    @Test("A repair whose mirror cannot be read just now ends, and gives nothing up",
        arguments: ["manifests", "segments"])
    func unreadable(kind: String) throws {
        let objects = InMemoryObjectStore()
        let (contents, _) = try train(1...2, mirror(objects))
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(path)/\(kind)")
        let file = "\(path)/\(kind)/\(try #require(names.first))"
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        try whole.dropLast(100).write(to: URL(fileURLWithPath: file))
        let failing = HookedObjectStore(objects) { operation, key throws(ObjectStoreError) in
            guard operation == "read", key.hasPrefix(kind) else { return }
            throw ObjectStoreError(.noAnswer, "GET", key, "no answer")
        }
        let store = try CheckpointStore.open(path, for: .maintaining)
        #expect {
            try store.repair(from: reader(failing))
        } throws: {
            ($0 as? CheckpointError)?.code == .io
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == whole.dropLast(100))
        #expect(!FileManager.default.fileExists(atPath: "\(path)/quarantine"))

        let report = try store.repair(from: reader(objects))
        #expect(report.isWithoutLoss && report.mended.count == 1)
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == whole)
        try check(store, contents)
    }

    @Test("The mirror of another store is neither resumed from nor changed")
    func another() throws {
        let objects = InMemoryObjectStore()
        let (contents, _) = try train(1...2, mirror(objects))
        let other = directory.appending("other")
        try CheckpointStore.open(other, for: .writing).close()
        let failures = Monitor<[CheckpointError]>([], rank: .unchecked)
        #expect {
            try withCheckpointer(
                other, state: TestTensors(sizes: Self.sizes), options: options(),
                mirror: mirror(objects)
            ) { try $0.resume() }
        } throws: {
            ($0 as? CheckpointError)?.code == .misuse
        }
        let follower = try mirror(objects).follow(CheckpointStore.open(other, for: .writing)) {
            if case .failed(let error) = $0 { failures.withLock { $0.append(error) } }
        }
        _ = failures.waitFor(timeout: .seconds(60)) { $0.isEmpty ? nil : true }
        follower.stop()
        #expect(failures.withLock { $0.map(\.code) } == [.misuse])
        try check(reader(objects), contents)
    }

    @Test("A reader takes no mirror, and a trainer without one cannot wait for it")
    func misuse() throws {
        let objects = InMemoryObjectStore()
        try train(1...1, mirror(objects))
        #expect {
            try CheckpointStore.open(path, mirror: mirror(objects))
        } throws: {
            ($0 as? CheckpointError)?.code == .misuse
        }
        let store = try CheckpointStore.open(path, for: .writing)
        let checkpointer = try Checkpointer(
            store: store, state: TestTensors(sizes: Self.sizes), options: options())
        #expect {
            try checkpointer.waitUntilMirrored(within: .seconds(1))
        } throws: {
            ($0 as? CheckpointError)?.code == .misuse
        }
        try checkpointer.close()
    }
}

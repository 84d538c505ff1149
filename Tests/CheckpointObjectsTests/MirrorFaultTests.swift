import CheckpointFormat
import CheckpointIO
import CheckpointMaintenance
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import Testing

@testable import CheckpointObjects
@testable import CheckpointStorage

/// Mirrors in directories, of which the store or the mirror itself is not what it should be.
@Suite("Damaged stores and mirrors", .timeLimit(.minutes(10)))
struct MirrorFaultTests {
    private static let sizes = [40_000, 64, 20_000]
    private let directory: TemporaryDirectory
    private let path: String
    private let mirrorPath: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.appending("store")
        mirrorPath = directory.appending("mirror")
    }

    /// Continues the run, and saves steps. The content of a step is always the same.
    @discardableResult
    private func train(
        _ steps: ClosedRange<Int>, mirror: String? = nil, store: String? = nil,
        warning: @escaping @Sendable (String) -> Void = { _ in },
        whileOpen: (Checkpointer) throws -> Void = { _ in }
    ) throws -> RestoreReport? {
        let tensors = TestTensors(sizes: Self.sizes)
        var options = smallOptions(workers: 2)
        (options.deduplicates, options.run) = (true, "experiment")
        options.onEvent = { if case .warning(let text) = $0 { warning(text) } }
        var resumed: RestoreReport?
        try withCheckpointer(
            store ?? path, state: tensors, options: options,
            mirror: mirror.map { BackgroundMirror(.directory($0)) }
        ) { checkpointer in
            resumed = try checkpointer.resume()
            for step in steps {
                checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
                try checkpointer.save(step: step).wait()
            }
            try whileOpen(checkpointer)
        }
        return resumed
    }

    /// Changes a file of the newest checkpoint's own segment.
    private func damage(_ change: (String) throws -> Void) throws {
        let store = try CheckpointStore.open(path)
        let newest = try store.files.load(#require(store.files.names().last)).manifest
        let own = try #require(
            newest.segments.first { "\($0.name)".hasPrefix("\(newest.id)") })
        try change("\(path)/segments/\(own.name)")
    }

    private func flip(_ file: String) throws {
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try handle.seek(toOffset: 9000)
        try handle.write(contentsOf: [0xA5, 0x5A, 0xA5])
        try handle.close()
    }

    private func expect(
        _ code: CheckpointError.Code, _ text: String, _ body: () throws -> Void
    ) {
        #expect {
            try body()
        } throws: {
            let error = $0 as? CheckpointError
            return error?.code == code && "\(error!)".contains(text)
        }
    }

    @Test("What is damaged or missing is not sent, and everything else is",
        arguments: [true, false])
    func damaged(isMissing: Bool) throws {
        try train(1...3)
        try damage { isMissing ? try FileManager.default.removeItem(atPath: $0) : try flip($0) }
        let source = try CheckpointStore.open(path)
        let report = try StoreMirror(of: source, to: .directory(mirrorPath)).synchronize()
        #expect(report.checkpoints.map(\.outcome) == [.failed, .mirrored, .mirrored])
        #expect(report.checkpoints.first?.error?.code == .damaged)
        let copy = try CheckpointStore.open(mirrorPath)
        #expect(try steps(of: copy) == [2, 1])
        #expect(try copy.verify().isWhole)
    }

    @Test("A store that is an older copy of the mirrored one is told of, once")
    func olderCopy() throws {
        let files = FileManager.default
        try train(1...2, mirror: mirrorPath)
        try files.copyItem(atPath: path, toPath: path + "-old")
        let warnings = Monitor<[String]>([], rank: .unchecked)
        try train(3...4, mirror: mirrorPath) { text in warnings.withLock { $0.append(text) } }
        #expect(warnings.withLock { $0.isEmpty })
        try files.removeItem(atPath: path)
        try files.moveItem(atPath: path + "-old", toPath: path)
        let report = try train(3...5, mirror: mirrorPath) { text in
            warnings.withLock { $0.append(text) }
        }
        #expect(report?.step == 2)
        let told = warnings.withLock { $0 }
        #expect(told.count == 1 && told[0].contains("has a newer checkpoint (step 4)"), "\(told)")
        #expect(told.first?.hasSuffix("ckpt mirror \(mirrorPath) \(path)") == true)
        // It goes on from there, and the next start is as any other.
        try train(6...6, mirror: mirrorPath) { text in warnings.withLock { $0.append(text) } }
        #expect(warnings.withLock { $0.count } == 1)
    }

    @Test("Who waits for the mirror is told of what could not be sent")
    func waiting() throws {
        try train(1...2)
        try damage(flip)
        try train(3...3, mirror: mirrorPath, whileOpen: { checkpointer in
            for _ in 1...2 {
                expect(.damaged, "damage at offset") {
                    try checkpointer.waitUntilMirrored(within: .seconds(60))
                }
            }
        })
        #expect(try steps(of: CheckpointStore.open(mirrorPath)) == [3, 1])
        // What is damaged no longer stands in the way once it is gone.
        let store = try CheckpointStore.open(path, for: .maintaining)
        _ = try store.remove([.step(2)], isForced: true)
        try store.close()
        try train(
            4...4, mirror: mirrorPath,
            whileOpen: { try $0.waitUntilMirrored(within: .seconds(60)) })
    }

    @Test("A save after damage was found reuses nothing of it", arguments: [true, false])
    func reuse(isMissing: Bool) throws {
        try train(1...3, mirror: mirrorPath)
        try damage { isMissing ? try FileManager.default.removeItem(atPath: $0) : try flip($0) }
        // Without the mirror, from step 2; then step 3 again, with the same bytes.
        #expect(try train(3...4)?.step == 2)
        let store = try CheckpointStore.open(path)
        let findings = try store.verify().findings.filter { $0.kind != .note }
        #expect(Set(findings.flatMap(\.checkpoints).map(\.step)) == [3])
        #expect(Set(findings.flatMap(\.checkpoints).map(\.id)).count == 1)
        let tensors = TestTensors(sizes: Self.sizes)
        try store.restore(.latest, into: tensors)
        // With it, from step 3; again nothing relies on what is damaged.
        try FileManager.default.removeItem(atPath: path)
        try train(5...5, mirror: mirrorPath)
        try damage { isMissing ? try FileManager.default.removeItem(atPath: $0) : try flip($0) }
        #expect(try train(6...7, mirror: mirrorPath)?.mirror == mirrorPath)
        let next = try CheckpointStore.open(path)
        let faults = try next.verify().findings.filter { $0.kind != .note }
        #expect(Set(faults.flatMap(\.checkpoints).map(\.step)) == [5])
        #expect(try CheckpointStore.open(mirrorPath).verify().isWhole)
    }

    @Test("A place that may be a mirror out of reach is not taken for a new one")
    func outOfReach() throws {
        try train(1...2, mirror: mirrorPath)
        let files = FileManager.default
        try files.removeItem(atPath: path)
        let away = directory.appending("away")
        // A link to a disk that is not mounted.
        try files.moveItem(atPath: mirrorPath, toPath: away)
        try files.createSymbolicLink(atPath: mirrorPath, withDestinationPath: "nowhere")
        expect(.io, "cannot be read") { try train(3...3, mirror: mirrorPath) }
        // A file, and what would lie below a file.
        try files.removeItem(atPath: mirrorPath)
        try Data([1]).write(to: URL(fileURLWithPath: mirrorPath))
        #expect(throws: CheckpointError.self) { try train(3...3, mirror: mirrorPath) }
        #expect(throws: CheckpointError.self) { try train(3...3, mirror: mirrorPath + "/m") }
        // A part of the mirror is gone.
        try files.removeItem(atPath: mirrorPath)
        try files.moveItem(atPath: away, toPath: mirrorPath)
        try files.moveItem(atPath: mirrorPath + "/manifests", toPath: away)
        #expect(throws: CheckpointError.self) { try train(3...3, mirror: mirrorPath) }
        #expect(try !CheckpointStore.exists(at: path))
        try files.moveItem(atPath: away, toPath: mirrorPath + "/manifests")
        #expect(try train(3...3, mirror: mirrorPath)?.step == 2)
    }

    @Test("The identity comes back from the mirror, and one that was rebuilt is the same store")
    func identity() throws {
        try train(1...2, mirror: mirrorPath)
        let identity = "\(path)/store.json"
        let whole = try Data(contentsOf: URL(fileURLWithPath: identity))
        try Data().write(to: URL(fileURLWithPath: identity))
        let mirror = try CheckpointStore.open(mirrorPath)
        #expect(try CheckpointStore.repairIdentity(path, from: mirror) != nil)
        #expect(try Data(contentsOf: URL(fileURLWithPath: identity)) == whole)
        // Without the mirror its time is another one, and its id the same.
        try FileManager.default.removeItem(atPath: identity)
        #expect(try CheckpointStore.repairIdentity(path) != nil)
        #expect(try Data(contentsOf: URL(fileURLWithPath: identity)) != whole)
        try train(3...3, mirror: mirrorPath)
        #expect(try steps(of: CheckpointStore.open(mirrorPath)) == [3, 2, 1])
        // A mirror whose own file is lost is damaged, and no other store.
        try FileManager.default.removeItem(atPath: "\(mirrorPath)/store.json")
        expect(.damaged, "ckpt repair") {
            _ = try StoreMirror(of: CheckpointStore.open(path), to: .directory(mirrorPath))
        }
    }

    @Test("A mirror that is the store, or lies in it, is refused")
    func inside() throws {
        try train(1...1)
        let link = directory.appending("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        for place in [path, path + "/", link, path + "/staging", path + "/../store/m"] {
            expect(.misuse, "would be lost with it") { try train(2...2, mirror: place) }
            expect(.misuse, "would be lost with it") {
                _ = try StoreMirror(of: CheckpointStore.open(path), to: .directory(place))
            }
        }
        // A name that begins like the store's is another directory.
        try train(2...2, mirror: path + "-mirror")
        #expect(try steps(of: CheckpointStore.open(path + "-mirror")) == [2, 1])
    }

    @Test("What a killed mirror has begun to write is removed by the next one")
    func leavings() throws {
        try train(1...1, mirror: mirrorPath)
        let left = "\(mirrorPath)/staging/0.object"
        try Data(count: 5000).write(to: URL(fileURLWithPath: left))
        try train(2...2, mirror: mirrorPath)
        #expect(!FileManager.default.fileExists(atPath: left))
    }

    @Test("A damaged checkpoint is told of once, and the mirror of the others is up to date")
    func told() throws {
        try train(1...3)
        try damage { try flip($0) }
        let warnings = Monitor<[String]>([], rank: .unchecked)
        try train(4...6, mirror: mirrorPath) { text in warnings.withLock { $0.append(text) } }
        #expect(warnings.withLock { $0.count { $0.contains("is not up to date") } } == 1)
        #expect(warnings.withLock { !$0.contains { $0.contains("not everything") } })
        #expect(try steps(of: CheckpointStore.open(mirrorPath)) == [6, 5, 4, 2, 1])
    }
}

import CheckpointMaintenance
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

@testable import CheckpointObjects

/// The reference trainer with a mirror, as a process of its own.
@Suite("Mirrored trainer", .timeLimit(.minutes(10)))
struct MirroredTrainerTests {
    /// Place of the mirror.
    enum Place: CaseIterable {
        case directory
        case bucket
    }

    /// The places that can be tested.
    static let places = Place.allCases.filter { $0 == .directory || ObjectServer.shared != nil }

    private let directory: TemporaryDirectory
    private let store: String

    init() throws {
        try Requirement.objects.check()
        directory = try TemporaryDirectory()
        store = directory.appending("store")
    }

    private func mirror(_ place: Place) -> String {
        switch place {
        case .directory: directory.appending("mirror")
        case .bucket: "s3://tests/\(UUID().uuidString.lowercased())/run"
        }
    }

    private func holdsCheckpoint(_ mirror: String) throws -> Bool {
        guard mirror.hasPrefix("s3://") else {
            let names = try? FileManager.default.contentsOfDirectory(atPath: mirror + "/manifests")
            return names?.isEmpty == false
        }
        let prefix = String(mirror.dropFirst("s3://tests/".count))
        let objects = try #require(ObjectServer.shared).objects(prefix: prefix)
        return try !objects.list("manifests/", limit: 1).isEmpty
    }

    private static let program: String = {
        let directories = [CommandLine.arguments[0], Bundle.main.executablePath ?? ""]
            .map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
        return (directories + [source + "/../../.build/debug"]).map { $0 + "/ReferenceTrainer" }
            .first { FileManager.default.isExecutableFile(atPath: $0) } ?? "ReferenceTrainer"
    }()

    private func train(
        _ store: String, steps: Int, losses: String, _ more: String...
    ) throws -> ProcessOutcome {
        try runProcess(
            Self.program,
            [
                "--store", store, "--model", "tiny", "--steps", "\(steps)", "--every", "5",
                "--batch", "2", "--arena", "1", "--loss-log", directory.appending(losses),
            ] + more,
            environment: ["XDG_CACHE_HOME": directory.appending("cache")])
    }

    /// Loss bits by step; of steps trained twice, both must agree.
    private func losses(_ name: String) throws -> [String: String] {
        var losses: [String: String] = [:]
        let text = try String(contentsOfFile: directory.appending(name), encoding: .utf8)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            try #require(words.count == 2)
            if let earlier = losses[words[0]] { #expect(earlier == words[1], "step \(words[0])") }
            losses[words[0]] = words[1]
        }
        return losses
    }

    @Test("Killed, and its store deleted, it resumes from the mirror, bit for bit",
        arguments: places)
    func lostDisk(_ place: Place) throws {
        let mirror = mirror(place)
        let twin = try train(directory.appending("twin"), steps: 40, losses: "twin.log")
        #expect(twin.status == 0, "\(twin)")
        for kill in ["15", "25", "35"] {
            let victim = try train(
                store, steps: 40, losses: "losses", "--mirror", mirror, "--kill-during-save", kill)
            #expect(victim.status == SIGKILL, "\(victim)")
            // On a busy machine it may be killed before anything was sent.
            if try !holdsCheckpoint(mirror) {
                _ = try StoreMirror(of: CheckpointStore.open(store), to: StoreMirror.Place(mirror)!)
                    .synchronize()
            }
            try FileManager.default.removeItem(atPath: store)
        }
        let last = try train(store, steps: 40, losses: "losses", "--mirror", mirror)
        #expect(last.status == 0 && last.output.contains(", from the mirror \(mirror)"), "\(last)")
        let end = twin.output.split(separator: "\n").first { $0.hasPrefix("finished") }
        #expect(end != nil && last.output.contains(end!), "\(last)")
        #expect(try losses("losses") == losses("twin.log"))
    }

    @Test("At the end of a process without close, what is committed is sent", arguments: places)
    func exit(_ place: Place) throws {
        let mirror = mirror(place)
        let ended = try train(
            store, steps: 20, losses: "losses", "--mirror", mirror, "--after-last-save", "exit")
        #expect(ended.status == 0, "\(ended)")
        try FileManager.default.removeItem(atPath: store)
        let next = try train(store, steps: 20, losses: "losses", "--mirror", mirror)
        #expect(next.output.contains("resumed from step 20"), "\(next)")
    }
}

import CheckpointIO
import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import Testing

@testable import CheckpointObjects

/// `ckpt` with `s3://...` for STORE.
@Suite(
    "Command over a bucket", .timeLimit(.minutes(10)),
    .enabled(if: Requirement.objects.isTested, "\(Requirement.objects.reason)"))
struct CommandTests {
    private let directory: TemporaryDirectory
    private let bucket: String

    init() throws {
        try Requirement.objects.check()
        directory = try TemporaryDirectory()
        bucket = "s3://tests/\(UUID().uuidString.lowercased())/run"
        let store = try CheckpointStore.open(directory.appending("local"), for: .writing)
        let tensors = TestTensors(sizes: [40_000, 64, 20_000])
        let checkpointer = try Checkpointer(store: store, state: tensors, options: smallOptions())
        for step in [10, 20] {
            checkpointer.mutate { tensors.fillPattern(UInt64(step)) }
            try checkpointer.save(step: step, metrics: ["loss": 1 / Double(step)]).wait()
        }
        try checkpointer.close()
    }

    private static let program: String = {
        let directories = [CommandLine.arguments[0], Bundle.main.executablePath ?? ""]
            .map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
        return (directories + [source + "/../../.build/debug"]).map { $0 + "/ckpt" }
            .first { FileManager.default.isExecutableFile(atPath: $0) } ?? "ckpt"
    }()

    private func ckpt(
        _ arguments: String..., environment: [String: String] = [:]
    ) throws -> ProcessOutcome {
        try runProcess(
            Self.program, arguments,
            environment: ["XDG_CACHE_HOME": directory.appending("cache")].merging(environment) { $1 })
    }

    @Test("Every verb that reads works, and copies go both ways")
    func verbs() throws {
        let local = directory.appending("local")
        let copied = try ckpt("copy", local, bucket)
        #expect(copied.status == 0 && copied.output.contains("copied 2 checkpoints"), "\(copied)")
        let listed = try ckpt("ls", bucket, "--json")
        #expect(listed.status == 0, "\(listed)")
        #expect(listed.output.components(separatedBy: "\"origin\":\"copy\"").count == 3)
        for verb in [
            ["inspect", bucket, "latest"], ["verify", bucket], ["stats", bucket], ["log", bucket],
            ["diff", bucket, "20", "20"], ["cat", bucket, "20", "tensor.0", "--format", "raw"],
            ["find", bucket, "tensor.0"],
            ["report", bucket, "-o", directory.appending("report.html")],
        ] {
            let outcome = try runProcess(
                Self.program, verb,
                environment: ["XDG_CACHE_HOME": directory.appending("cache")])
            #expect(outcome.status == 0, "\(verb) \(outcome)")
        }
        #expect(try ckpt("inspect", bucket).output.contains("compared by the object store"))
        #expect(try ckpt("inspect", bucket, "--json").output.contains("\"transfer_check\":\"\(ObjectServer.bestCheck.rawValue)\""))
        #expect(try ckpt("inspect", local, "--json").output.contains("\"transfer_check\":null"))
        let out = directory.appending("out")
        let restored = try ckpt("restore", bucket, "10", "-o", out)
        #expect(restored.status == 0, "\(restored)")
        let weights = directory.appending("weights.safetensors")
        #expect(try ckpt("export", bucket, "10", "-o", weights).status == 0)
        let back = try ckpt("copy", bucket, directory.appending("back"))
        #expect(back.status == 0 && back.output.contains("copied 2 checkpoints"), "\(back)")
        let verified = try ckpt("verify", directory.appending("back"))
        #expect(verified.status == 0, "\(verified)")
    }

    @Test("A damaged store is repaired from its mirror")
    func repair() throws {
        let local = directory.appending("local")
        #expect(try ckpt("mirror", local, bucket).status == 0)
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(local)/segments")
        for name in names { try FileManager.default.removeItem(atPath: "\(local)/segments/\(name)") }
        let planned = try ckpt("repair", local, "--from", bucket, "--dry-run")
        #expect(planned.status == 0 && planned.output.contains("would be replaced from"), "\(planned)")
        #expect(try ckpt("verify", local).status != 0)
        let repaired = try ckpt("repair", local, "--from", bucket)
        #expect(repaired.status == 0 && repaired.output.contains("nothing is lost"), "\(repaired)")
        #expect(try ckpt("verify", local).status == 0)
    }

    @Test("Checkpoints are marked, removed and repacked, and the place can be tried")
    func changes() throws {
        let tried = try ckpt("doctor", bucket, "--try")
        #expect(tried.status == 0 && !tried.output.contains("secret"), "\(tried)")
        #expect(try ckpt("copy", directory.appending("local"), bucket).status == 0)
        for arguments in [
            ["tag", bucket, "10", "good"], ["pin", bucket, "20"], ["unpin", bucket, "20"],
            ["prune", bucket, "--keep-last", "1"], ["repack", bucket], ["tag", bucket, "--delete", "good"],
            ["rm", bucket, "10"], ["clean", bucket],
        ] {
            let outcome = try runProcess(
                Self.program, arguments,
                environment: ["XDG_CACHE_HOME": directory.appending("cache")])
            #expect(outcome.status == 0, "\(arguments) \(outcome)")
        }
        let listed = try ckpt("ls", bucket, "--json")
        #expect(listed.output.components(separatedBy: "\"step\":").count == 2, "\(listed)")
        #expect(try ckpt("verify", bucket).status == 0)
    }

    @Test("Cleaning aborts uploads that a killed process began a day ago, and says so")
    func cleanUploads() throws {
        #expect(try ckpt("copy", directory.appending("local"), bucket).status == 0)
        let server = try #require(ObjectServer.shared)
        let objects = server.objects(prefix: String(bucket.dropFirst("s3://tests/".count)))
        let segment = "segments/0123456789abcdef0123456789abcdef-00000-00000.segment"
        _ = objects.client.send(S3Request(method: "POST", key: objects.full(segment), query: [("uploads", "")]))
        let early = try ckpt("clean", bucket, "--json")
        #expect(early.status == 0 && early.output.contains("\"uploads\":0"), "\(early)")
        let proxy = try FaultProxy(server.endpoint)
        defer { proxy.stop() }
        proxy.imitate(.ahead(hours: 25)) { _ in }
        let tomorrow = ["AWS_ENDPOINT_URL_S3": "http://127.0.0.1:\(proxy.endpoint.port ?? 0)"]
        let late = try ckpt("clean", bucket, environment: tomorrow)
        #expect(late.status == 0 && late.output.contains("aborted 1 unfinished upload"), "\(late)")
        #expect(try ckpt("verify", bucket).status == 0)
        #expect(try objects.abortStaleUploads(olderThan: .zero) == 0)
    }

    @Test("A dry run tells at least as many requests as a copy takes, opening included")
    func cost() throws {
        let proxy = try FaultProxy(try #require(ObjectServer.shared).endpoint)
        defer { proxy.stop() }
        let through = ["AWS_ENDPOINT_URL_S3": "http://127.0.0.1:\(proxy.endpoint.port ?? 0)"]
        let local = directory.appending("local")
        #expect(try ckpt("tag", local, "10", "good").status == 0)
        for (source, target) in [(local, bucket), (bucket, directory.appending("fetched")), (bucket, bucket + "2")] {
            let planned = try ckpt("copy", source, target, "--dry-run", "--json", environment: through)
            let told = try #require(
                planned.output.firstMatch(of: /"requests":(\d+)/).flatMap { Int($0.1) }, "\(planned)")
            proxy.plan(nil, at: 0)
            #expect(try ckpt("copy", source, target, environment: through).status == 0)
            #expect(proxy.count > 10 && proxy.count <= told, "\(source) to \(target)")
        }
        let apart = try ckpt("copy", local, directory.appending("other"), "--dry-run", "--json")
        #expect(apart.output.contains("\"requests\":null"), "\(apart)")
    }

    @Test("What imports, watches and brings back a store works over a bucket")
    func further() throws {
        let local = directory.appending("local")
        let weights = directory.appending("weights.safetensors")
        #expect(try ckpt("export", local, "10", "-o", weights).status == 0)
        let imported = try ckpt("import", bucket, weights, "--step", "5", "--run", "pretrained")
        #expect(imported.status == 0, "\(imported)")
        let compared = try ckpt("diff", bucket, "5", weights)
        #expect(compared.status == 0, "\(compared)")
        let mirror = bucket + "-mirror"
        #expect(try ckpt("mirror", local, mirror).status == 0)
        let back = directory.appending("back")
        let brought = try ckpt("mirror", mirror, back)
        #expect(brought.status == 0 && brought.output.contains("mirrored 2 checkpoints"), "\(brought)")
        #expect(try ckpt("verify", back).status == 0)
        #expect(try ckpt("ls", back, "--json").output == ckpt("ls", local, "--json").output)
    }

    @Test("A store that lists no uploads can be cleaned; a bucket that is not there is a problem")
    func oddPlaces() throws {
        #expect(try ckpt("copy", directory.appending("local"), bucket).status == 0)
        let proxy = try FaultProxy(try #require(ObjectServer.shared).endpoint)
        defer { proxy.stop() }
        proxy.imitate(.listsNoUploads) { _ in }
        let cleaned = try ckpt(
            "clean", bucket, environment: ["AWS_ENDPOINT_URL_S3": "http://127.0.0.1:\(proxy.endpoint.port ?? 0)"])
        #expect(cleaned.status == 0 && cleaned.errors.contains("unfinished uploads are left alone"), "\(cleaned)")
        let examined = try ckpt("doctor", "s3://no-such-bucket/x")
        #expect(examined.status == 1 && examined.output.contains("NoSuchBucket"), "\(examined)")
        let settings = try ckpt("doctor", bucket, environment: ["AWS_MAX_ATTEMPTS": "4"])
        for line in ["attempts: 4 (AWS_MAX_ATTEMPTS)", "region: ", "payload signed: ", "addressing style: path"] {
            #expect(settings.output.contains(line), "\(settings)")
        }
    }

    @Test("What cannot be done says why, and what to do")
    func refusals() throws {
        let local = directory.appending("local")
        #expect(try ckpt("copy", local, bucket).status == 0)
        let refused = try ckpt("repair", bucket)
        #expect(refused.status == 6 && refused.errors.contains("ckpt mirror"), "\(refused)")
        let missing = try ckpt("ls", bucket + "/elsewhere")
        #expect(missing.status != 0 && missing.errors.contains("s3://tests/"), "\(missing)")
        let wrong = try ckpt("ls", "s3://x/../y")
        #expect(wrong.status == 2 && wrong.errors.contains("s3://BUCKET/PREFIX"), "\(wrong)")
        for verb in [["restore", bucket], ["export", bucket], ["report", bucket]] {
            let elsewhere = try runProcess(Self.program, verb + ["-o", "s3://tests/out.safetensors"])
            #expect(elsewhere.status == 2 && elsewhere.errors.contains("not on this machine"), "\(elsewhere)")
        }
        let denied = try ckpt("ls", bucket, environment: ["AWS_SECRET_ACCESS_KEY": "wrong-secret"])
        #expect(denied.status != 0 && denied.errors.contains("credentials"), "\(denied)")
        #expect(!"\(denied)".contains("wrong-secret"))
        let unreachable = try ckpt(
            "ls", bucket,
            environment: ["AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "2"])
        #expect(unreachable.status == 5 && unreachable.errors.contains("network"), "\(unreachable)")
    }
}

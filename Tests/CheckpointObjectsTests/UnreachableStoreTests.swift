import CheckpointTestSupport
import Checkpointing
import CheckpointingTestSupport
import Foundation
import SystemPackage
import Synchronization
import Testing

@testable import CheckpointObjects
@testable import CheckpointStorage

/// An object store that gives no answer is given up soon, or at once if nobody waits any more.
@Suite("Unreachable store", .timeLimit(.minutes(5)))
struct UnreachableStoreTests {
    /// Objects behind a port where nobody listens.
    private func objects(cancellation: Cancellation? = nil) -> S3ObjectStore {
        var settings = S3Client.Settings(region: "us-east-1")
        settings.cancellation = cancellation
        let endpoint = S3Endpoint(
            isSecure: false, host: "127.0.0.1", port: 9, bucket: "tests", isPathStyle: true)
        return S3ObjectStore(
            S3Client(
                endpoint: endpoint, settings: settings, credentials: FixedCredentials(nil),
                transport: HTTPTransport(.init(), connectTime: .milliseconds(50))),
            S3Location("s3://tests/a")!)
    }

    @Test("it is given up after three requests")
    func threeRequests() throws {
        let objects = objects()
        #expect(throws: ObjectStoreError.self) { _ = try objects.size(of: "a") }
        #expect(objects.client.requestCount.load(ordering: .relaxed) == 3)
    }

    @Test("a create is given up after three rounds of a request and a look at what it did")
    func creates() throws {
        let objects = objects()
        #expect(throws: ObjectStoreError.self) { try objects.create("a", [1]) }
        #expect(objects.client.requestCount.load(ordering: .relaxed) <= 3 * 4)
    }

    @Test("after a cancellation no request is sent again")
    func cancelled() throws {
        let cancellation = Cancellation()
        cancellation.cancel()
        let objects = objects(cancellation: cancellation)
        #expect(throws: ObjectStoreError.self) { _ = try objects.size(of: "a") }
        #expect(objects.client.requestCount.load(ordering: .relaxed) == 1)
    }

    @Test("the threads of connections yield to those of training")
    func backgroundThreads() throws {
        #expect(throws: ObjectStoreError.self) { _ = try objects().size(of: "a") }
        let tasks = "/proc/self/task"
        let niceness = try FileManager.default.contentsOfDirectory(atPath: tasks).compactMap { id -> Int32? in
            // A thread may have ended since it was listed.
            guard let stat = try? String(contentsOfFile: "\(tasks)/\(id)/stat", encoding: .utf8), stat.contains("(NIO-") else { return nil }
            // proc_pid_stat(5): 16 values after the name, the nice value.
            return stat.split(separator: ")").last?.split(separator: " ").dropFirst(16).first.flatMap { Int32($0) }
        }
        let background = niceness.filter { $0 == HTTPTransport.niceness }
        #expect((1...4).contains(background.count), "nice values: \(niceness)")
    }

    @Test("a pause ends with the cancellation")
    func pauseEnds() {
        let cancellation = Cancellation()
        let began = ContinuousClock.now
        #expect(!cancellation.wait(for: .milliseconds(10)))
        Thread.detachNewThread { cancellation.cancel() }
        #expect(cancellation.wait(for: .seconds(60)))
        #expect(ContinuousClock.now - began < .seconds(30))
    }

    @Test("a directory of another name continues the run that is in the mirror")
    func otherDirectory() throws {
        let directory = try TemporaryDirectory()
        let mirror = BackgroundMirror(.directory(directory.appending("mirror")))
        let tensors = TestTensors(sizes: [40_000])
        try withCheckpointer(directory.appending("one"), state: tensors, mirror: mirror) { saver in
            saver.mutate { tensors.fillPattern(7) }
            try saver.save(step: 3).wait()
        }
        let saved = tensors.bytes
        tensors.fillPattern(8)
        try withCheckpointer(directory.appending("two"), state: tensors, mirror: mirror) { saver in
            let report = try #require(try saver.resume())
            #expect(report.step == 3)
            #expect(saver.runName == "one")
            #expect(tensors.bytes == saved)
        }
        // A name that is given is meant; a mirror with several runs is no choice.
        try withCheckpointer(
            directory.appending("three"), state: tensors, options: named("other"), mirror: mirror
        ) { saver in
            #expect(try saver.resume() == nil)
            try saver.save(step: 1).wait()
        }
        let error = #expect(throws: CheckpointError.self) {
            try withCheckpointer(directory.appending("four"), state: tensors, mirror: mirror) { _ in }
        }
        #expect(error?.code == .misuse)
    }

    private func named(_ run: String) -> CheckpointerOptions {
        var options = CheckpointerOptions()
        options.run = run
        return options
    }
}

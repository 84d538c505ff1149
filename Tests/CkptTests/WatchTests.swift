import CheckpointCodecs
import CheckpointFormat
import CheckpointTestSupport
import Checkpointing
import Foundation
import Testing

/// `watch` on the real program; `TrainerTests` watch a trainer in another process.
@Suite(.timeLimit(.minutes(20))) struct WatchTests {
    @Test func onceShowsWhatThereIs() throws {
        let sample = try Sample()
        let golden = Golden(sample)
        try golden.expect(ckpt("watch", sample.store, "--once"), "watch.txt")
        try golden.expect(ckpt("watch", sample.store, "--once", "--json"), "watch.json")
        #expect(try ckpt("watch", sample.store, "--timeout", "0.2").status == 0)
        #expect(try ckpt("watch", sample.store + "-not", "--once").status == 3)
        #expect(try ckpt("watch", sample.store, "--timeout", "-1").status == 2)
        #expect(try ckpt("watch", sample.store, "--timeout", "nan").status == 2)
    }

    /// A writer that is killed leaves its status file; one of another machine is believed.
    @Test(arguments: [(false, true), (true, false)])
    func aKilledWriterIsNotTakenForOneThatWrites(isElsewhere: Bool, isGone: Bool) throws {
        let sample = try Sample()
        let checkpointer = try Checkpointer(store: openSoon(sample.store, for: .writing), state: Trainer().state())
        let name = try #require(try sample.folder.names(in: "store/staging").first { $0.hasSuffix(".status") })
        var status = try #require(SaveStatus(decoding: try sample.folder.bytes(of: "store/staging/\(name)"), digest: Hashing.digest))
        try checkpointer.close()
        // No process has this id: it is beyond what Linux gives.
        status.process = 1 << 30
        if isElsewhere { status.machine ^= 1 }
        var record = [UInt8](repeating: 0, count: SaveStatus.bytes)
        status.encode(into: &record, digest: Hashing.digest)
        try sample.folder.write(record, to: "store/staging/\(name)")
        #expect(try ckpt("watch", sample.store, "--once").output.contains("process \(1 << 30) is writing") != isGone)
    }

    @Test func aWriterIsSeen() throws {
        let sample = try Sample()
        let checkpointer = try Checkpointer(store: openSoon(sample.store, for: .writing), state: Trainer().state())
        let run = try ckpt("watch", sample.store, "--once")
        #expect(run.status == 0 && run.output.contains("process \(ProcessInfo.processInfo.processIdentifier) is writing"))
        try checkpointer.close()
    }
}

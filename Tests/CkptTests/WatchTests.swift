import Checkpointing
import Foundation
import Testing

/// `watch` on the real program; `TrainerTests` watch a trainer in another process.
@Suite struct WatchTests {
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

    @Test func aWriterIsSeen() throws {
        let sample = try Sample()
        let checkpointer = try Checkpointer(store: openSoon(sample.store, for: .writing), state: Trainer().state())
        let run = try ckpt("watch", sample.store, "--once")
        #expect(run.status == 0 && run.output.contains("process \(ProcessInfo.processInfo.processIdentifier) writes run"))
        try checkpointer.close()
    }
}

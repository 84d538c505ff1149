import CheckpointTestSupport
import Foundation
import Testing

/// `ckpt watch` beside the reference trainer.
@Suite("Watching a trainer", .timeLimit(.minutes(20)))
struct WatchTests {
    private func start(_ program: Program, _ arguments: [String]) throws -> (process: Process, output: Pipe) {
        let (process, output) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: program.path)
        process.arguments = arguments
        process.standardOutput = output
        try process.run()
        return (process, output)
    }

    @Test("every checkpoint that a trainer commits is told of, in JSON and as text")
    func live() throws {
        let directory = try TemporaryDirectory()
        let store = directory.appending("store")
        let trainer = try Program("ReferenceTrainer")
        let first = try trainer.run(trainerArguments(store: store, steps: 2, every: 1), in: directory)
        try #require(first.status == 0, "\(first.output)")
        let watchers = try [["--json"], []].map { more in
            try start(Program("ckpt"), ["watch", store, "--until", "8", "--timeout", "60"] + more)
        }
        let second = try trainer.run(trainerArguments(store: store, steps: 8, every: 2), in: directory)
        try #require(second.status == 0, "\(second.output)")
        let limits = try watchers.map { try ProcessLimit($0.process) }
        let outputs = watchers.map { String(decoding: $0.output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) }
        for (process, _) in watchers {
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
        for limit in limits { limit.cancel() }
        let events = try outputs[0].split(separator: "\n").map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        #expect(events.first?["event"] as? String == "watching" && events.first?["newest_step"] as? Int == 2)
        #expect(events.filter { $0["event"] as? String == "committed" }.compactMap { $0["step"] as? Int } == [4, 6, 8])
        #expect(events.contains { $0["event"] as? String == "writer" })
        let lines = outputs[1].split(separator: "\n")
        #expect(lines.first?.hasPrefix("watching \(store): 2 checkpoints, the newest at step 2") == true)
        for step in [4, 6, 8] { #expect(lines.contains { $0.hasPrefix("step \(step): committed") }) }
        #expect(!outputs.joined().contains("\u{1B}") && !outputs.joined().contains("\r"))
    }
}

import CheckpointTestSupport
import Foundation
import Testing

/// A program of this package, run as a process of its own.
struct Program {
    let path: String

    /// - Parameter name: of an executable that was built beside the tests.
    init(_ name: String) throws {
        let directories = CommandLine.arguments.prefix(1) + [Bundle.main.executablePath ?? ""]
        let candidates = directories.map { URL(fileURLWithPath: $0).deletingLastPathComponent().path + "/" + name }
        let beside = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/../../.build/debug/" + name
        path = try #require(
            (candidates + [beside]).first { FileManager.default.isExecutableFile(atPath: $0) }, "no program \(name)")
    }

    struct Outcome {
        var status: Int32
        var wasKilled: Bool
        var output: String

        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    /// Runs to the end, or until it is killed after `killAfter` seconds.
    func run(_ arguments: [String], killAfter: Double? = nil, in directory: TemporaryDirectory) throws -> Outcome {
        let log = URL(fileURLWithPath: directory.appending("output-\(UUID().uuidString)"))
        try Data().write(to: log)
        let handle = try FileHandle(forWritingTo: log)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        let limit = try ProcessLimit(process)
        if let killAfter {
            let deadline = Date(timeIntervalSinceNow: killAfter)
            while process.isRunning, Date() < deadline { usleep(500) }
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        }
        process.waitUntilExit()
        limit.cancel()
        try handle.close()
        return Outcome(
            status: process.terminationStatus, wasKilled: process.terminationReason == .uncaughtSignal,
            output: try String(contentsOf: log, encoding: .utf8))
    }
}

/// What the trainer says of its checkpoints.
struct TrainerReport {
    /// Fingerprint of the state at each step that a save was asked for.
    var saved: [Int: String] = [:]
    var committed: Set<Int> = []
    var resumed: (step: Int, state: String)?
    var finished: String?

    init(_ lines: [String]) {
        for line in lines {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "," || $0 == ":" }).map(String.init)
            switch words.first {
            case "saving" where words.count == 5: saved[Int(words[2]) ?? -1] = words[4]
            case "committed": committed.insert(Int(words[2]) ?? -1)
            case "resumed" where words.count == 8: resumed = (Int(words[3]) ?? -1, words[7])
            case "finished": finished = words.last
            default: break
            }
        }
    }
}

/// Arguments of a small training run.
func trainerArguments(store: String, steps: Int, every: Int, more: [String] = []) -> [String] {
    [
        "--store", store, "--model", "tiny", "--steps", "\(steps)", "--every", "\(every)", "--batch", "2",
        "--fingerprints", "--arena", "1",
    ] + more
}

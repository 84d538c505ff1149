internal import Checkpointing
internal import Foundation

/// The processes of a benchmark of several ranks. If one fails, the others are ended.
final class RankProcesses {
    private struct Rank {
        let process: Process
        let input: FileHandle
        let output: FileHandle
    }

    private var ranks: [Rank] = []

    /// Starts the processes.
    ///
    /// - Parameters:
    ///   - executable: the program.
    ///   - arguments: the arguments of each rank.
    /// - Throws: the error of starting a process.
    init(executable: String, arguments: [[String]]) throws {
        for arguments in arguments {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: executable)
            process.arguments = arguments
            let (input, output) = (Pipe(), Pipe())
            (process.standardInput, process.standardOutput) = (input, output)
            do { try process.run() } catch {
                stop()
                throw error
            }
            ranks.append(
                Rank(
                    process: process, input: input.fileHandleForWriting,
                    output: output.fileHandleForReading))
        }
    }

    deinit { stop() }

    private func stop() {
        for rank in ranks where rank.process.isRunning { rank.process.terminate() }
    }

    /// Waits until every rank has come to the next phase, and lets all go on.
    ///
    /// - Parameter body: called in between.
    /// - Throws: code `io` if a rank has ended.
    func meet(_ body: () -> Void) throws {
        for number in ranks.indices where !readLine(number) { throw failure() }
        body()
        for rank in ranks { try rank.input.write(contentsOf: Data("\n".utf8)) }
    }

    private func readLine(_ number: Int) -> Bool {
        while true {
            // An error of the pipe means the same as its end.
            let byte = try? ranks[number].output.read(upToCount: 1)
            guard let byte = byte.flatMap({ $0 }), !byte.isEmpty else { return false }
            if byte == Data("\n".utf8) { return true }
        }
    }

    /// Waits until every rank has ended.
    ///
    /// - Throws: code `io` if one has failed.
    func wait() throws {
        for rank in ranks { rank.process.waitUntilExit() }
        // Status 1 means that a restore was not exact, which the report says.
        guard ranks.allSatisfy({ (0...1).contains($0.process.terminationStatus) }) else {
            throw failure()
        }
    }

    private func failure() -> CheckpointError {
        stop()
        for rank in ranks { rank.process.waitUntilExit() }
        let failed = ranks.indices.filter { ranks[$0].process.terminationStatus != 0 }
        return CheckpointError(
            .io,
            "the benchmark failed on rank\(failed.count == 1 ? "" : "s") "
                + failed.map(String.init).joined(separator: ", "),
            remedy: "See the messages above")
    }
}

import CheckpointTestSupport
import Foundation
import Testing

/// The processes of one launch of several ranks.
final class RankProcesses {
    /// A signal that one rank sends to itself.
    struct Fault {
        var rank: Int
        var signal: Int32
        var operation: Int
        /// After a SIGSTOP: seconds until it goes on; nil if it is killed instead.
        var pause: Double?
    }

    private let program: Program
    private let directory: TemporaryDirectory
    private var processes: [Process] = []
    private var logs: [URL] = []

    init(_ program: Program, in directory: TemporaryDirectory) {
        (self.program, self.directory) = (program, directory)
    }

    /// Starts one process for each rank.
    ///
    /// - Parameter store: paths of the store: rank N uses number N, from the first again after the
    ///   last.
    func start(
        store: [String], launch: String, worldSize: Int, steps: Int, timeout: Int, isEager: Bool,
        faults: [Fault]
    ) throws {
        for rank in 0..<worldSize {
            let log = URL(fileURLWithPath: directory.appending("\(launch)-\(rank).log"))
            try Data().write(to: log)
            let process = Process()
            process.executableURL = URL(fileURLWithPath: program.path)
            process.arguments =
                [store[rank % store.count], launch, "\(rank)", "\(worldSize)", "\(steps)", "\(timeout)"]
                + [isEager ? "1" : "0"]
            if let fault = faults.first(where: { $0.rank == rank }) {
                process.arguments? += ["\(fault.signal)", "\(fault.operation)"]
            }
            process.environment = ProcessInfo.processInfo.environment.merging([
                "XDG_CACHE_HOME": directory.appending("cache")
            ]) { $1 }
            let handle = try FileHandle(forWritingTo: log)
            (process.standardOutput, process.standardError) = (handle, handle)
            try process.run()
            processes.append(process)
            logs.append(log)
        }
    }

    /// Lets the processes run to their ends, and stopped ones go on as their faults say.
    ///
    /// - Returns: the ranks that did not end before the deadline, and were killed.
    func finish(_ faults: [Fault], within seconds: Double) -> [Int] {
        let deadline = Date(timeIntervalSinceNow: seconds)
        var stopped: [Int: Date] = [:]
        while processes.contains(where: \.isRunning), Date() < deadline {
            for (rank, process) in processes.enumerated() where process.isRunning {
                guard isStopped(process) else { continue }
                let since = stopped[rank] ?? Date()
                stopped[rank] = since
                let pause = faults.first { $0.rank == rank }?.pause
                guard Date().timeIntervalSince(since) >= pause ?? 1 else { continue }
                kill(process.processIdentifier, pause == nil ? SIGKILL : SIGCONT)
                stopped[rank] = nil
            }
            usleep(2000)
        }
        let late = processes.indices.filter { processes[$0].isRunning }
        for rank in late { kill(processes[rank].processIdentifier, SIGKILL) }
        for process in processes { process.waitUntilExit() }
        return late
    }

    private func isStopped(_ process: Process) -> Bool {
        let path = "/proc/\(process.processIdentifier)/stat"
        // A process that has just ended has no such file.
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return false }
        return text.split(separator: ")").last?.hasPrefix(" T") == true
    }

    /// True for ranks that ended by themselves, without an error.
    var haveSucceeded: [Bool] {
        processes.map { $0.terminationReason == .exit && $0.terminationStatus == 0 }
    }

    /// What each rank printed.
    var outputs: [String] {
        logs.map { (try? String(contentsOf: $0, encoding: .utf8)) ?? "" }
    }

    /// The ids of the saves of which any rank was told that they are committed, by step.
    var committed: [Int: Set<String>] {
        var committed: [Int: Set<String>] = [:]
        for line in outputs.joined(separator: "\n").split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 3, words[0] == "committed", let step = Int(words[1]) else {
                continue
            }
            committed[step, default: []].insert(words[2])
        }
        return committed
    }
}

internal import CheckpointIO
package import Foundation
internal import Glibc

/// What a process printed, and how it ended.
package struct ProcessOutcome: Sendable {
    /// Exit status, or the number of the signal that ended the process.
    package var status: Int32
    package var output: String
    package var errors: String
}

/// Kills a process that runs for too long, so that a test of a program that hangs fails and ends.
package final class ProcessLimit: Sendable {
    private let isOver = Monitor(false)
    private let thread: WorkerThread

    /// Starts the clock.
    ///
    /// - Parameters:
    ///   - process: a running process.
    ///   - limit: time after which it is killed, unless `cancel` was called.
    /// - Throws: `ThreadError` if the system cannot create a thread.
    package init(_ process: Process, limit: Duration = .seconds(300)) throws {
        let (id, isOver) = (process.processIdentifier, isOver)
        thread = try WorkerThread(name: "limit") {
            if isOver.waitFor(timeout: limit, { $0 ? true : nil }) == nil { kill(id, SIGKILL) }
        }
    }

    /// Ends the limit. Called when the process has ended, since its number may be given to another.
    package func cancel() {
        isOver.withLock { $0 = true }
        thread.join()
    }
}

extension Process {
    /// Waits until a running process ends. It is killed if it runs for too long.
    ///
    /// - Parameter limit: time after which it is killed.
    /// - Throws: `ThreadError` if the system cannot create a thread.
    package func waitForEnd(within limit: Duration = .seconds(300)) throws {
        let limit = try ProcessLimit(self, limit: limit)
        waitUntilExit()
        limit.cancel()
    }
}

/// Runs a program to its end, for at most five minutes.
///
/// - Parameters:
///   - program: path of an executable file.
///   - arguments: arguments without the program's name.
///   - environment: variables to set in addition to those of the tests.
/// - Returns: how it ended. What it prints must fit a pipe (64 KiB) on standard error.
/// - Throws: an error of Foundation if the program cannot be started.
package func runProcess(
    _ program: String, _ arguments: [String], environment: [String: String] = [:]
) throws -> ProcessOutcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    try process.run()
    let limit = try ProcessLimit(process)
    let texts = [output, errors].map {
        String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }
    process.waitUntilExit()
    limit.cancel()
    return ProcessOutcome(status: process.terminationStatus, output: texts[0], errors: texts[1])
}

/// A small file system in memory, mounted in a namespace of its own, so that no other process sees
/// it.
package enum SmallDisk {
    /// Runs a script of bash with `$DISK`, the path of a new, empty file system.
    ///
    /// - Parameters:
    ///   - script: its standard error is merged into its standard output.
    ///   - size: size of the file system, as tmpfs(5) takes it: "20k", "2m".
    ///   - directory: the file system is mounted in it.
    /// - Returns: how the script ended: with status 99 if the file system cannot be mounted.
    /// - Throws: an error of Foundation if unshare(1) cannot be started.
    package static func run(
        _ script: String, size: String, in directory: TemporaryDirectory
    ) throws -> ProcessOutcome {
        let disk = directory.appending("disk")
        try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
        let prologue = """
            exec 2>&1
            DISK='\(disk)'
            mount -t tmpfs -o size=\(size) ckpt-test "$DISK" || exit 99

            """
        // Without privileges, a namespace of users lends them for the mount.
        let flags = getuid() == 0 ? "-m" : "-rm"
        return try runProcess("/usr/bin/unshare", [flags, "/bin/bash", "-c", prologue + script])
    }
}

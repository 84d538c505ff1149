internal import CheckpointFormat
package import CheckpointIO
internal import Foundation
package import SystemPackage

/// The process that holds a lock of a store, as it has recorded itself in the lock file: one line of
/// JSON, for people (Formats/store-layout.md, Locks).
package struct LockHolder: Sendable, Equatable, CustomStringConvertible {
    package var process: Int
    package var host: String
    package var command: String
    /// Time at which the lock was taken, in milliseconds since 1970.
    package var since: Int
    /// Identity of boot and process namespace, where the process id means something.
    package var machine: UInt128

    /// This process, now.
    package static var current: LockHolder {
        LockHolder(
            process: Int(ProcessInfo.processInfo.processIdentifier), host: hostName,
            command: commandLine, since: Clock.milliseconds, machine: Machine.identity)
    }

    private static let commandBytesMax = 200

    private static let hostName = ProcessInfo.processInfo.hostName

    private static let commandLine: String = {
        let line = CommandLine.arguments.joined(separator: " ")
        let visible = line.unicodeScalars.map {
            $0.properties.generalCategory == .control ? " " : Character($0)
        }
        return String(String(visible).prefix(commandBytesMax))
    }()

    /// True if the holder is this process.
    package var isThisProcess: Bool { process == Int(ProcessInfo.processInfo.processIdentifier) && machine == Machine.identity }

    /// True if the process is known to have ended: it was killed, and the record is out of date.
    package var hasEnded: Bool {
        machine == Machine.identity && machine != 0
            && !FileManager.default.fileExists(atPath: "/proc/\(process)")
    }

    package var description: String {
        let date = Date(timeIntervalSince1970: Double(since) / 1000).formatted(.iso8601)
        let who = isThisProcess ? "this process" : "process \(process) on \(host) (\(command))"
        return "\(who), since \(date)"
    }

    /// The line for the lock file.
    package var encoded: [UInt8] {
        JSONValue.object([
            .init("process", .count(process)), .init("host", .string(host)),
            .init("command", .string(command)), .init("since_ms", .count(since)),
            .init("machine", .string(Hexadecimal.string(of: machine))),
        ]).text + [0x0A]
    }

    package init(process: Int, host: String, command: String, since: Int, machine: UInt128) {
        (self.process, self.host, self.command) = (process, host, command)
        (self.since, self.machine) = (since, machine)
    }

    /// Parses the line of a lock file.
    ///
    /// - Parameter bytes: the content of the file.
    /// - Returns: nil if it is anything else.
    package init?(decoding bytes: [UInt8]) {
        let line = bytes.prefix { $0 != 0x0A }
        do {
            let fields = try JSONFields(try JSONParser.parse(line), "lock", offset: 0)
            guard let machine = Hexadecimal.value(of: try fields.string("machine")) else { return nil }
            self.init(
                process: try fields.count("process"), host: try fields.string("host"),
                command: try fields.string("command"), since: try fields.count("since_ms"),
                machine: machine)
        } catch {
            // The lock file of an earlier version is empty.
            return nil
        }
    }
}

extension FileSystem {
    /// Takes a lock, and records this process as its holder.
    ///
    /// - Parameter path: the lock file.
    /// - Returns: nil if another process, or another object of this one, holds it.
    /// - Throws: the error of the system call.
    package func lockAndRecord(_ path: FilePath) throws(FileSystemError) -> (any FileLock)? {
        guard let lock = try lock(path) else { return nil }
        // On a full disk, the holder is not recorded.
        try? lock.record(LockHolder.current.encoded)
        return lock
    }

    /// Returns the holder of a lock, as part of a message.
    ///
    /// - Parameter path: the lock file.
    /// - Returns: nil if it has not recorded itself, or if the record is of a process that has ended.
    package func holder(ofLock path: FilePath) -> LockHolder? {
        let holder = record(inLock: path).flatMap { LockHolder(decoding: $0) }
        return holder?.hasEnded == true ? nil : holder
    }
}

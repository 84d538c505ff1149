internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import Foundation
internal import SystemPackage

/// Whether a process id in a status file means a process that can be seen from here (Formats/store-layout.md, Status).
package enum Machine {
    /// Of this start of the machine and this namespace of processes (pid_namespaces(7)); 0 if the system does not say.
    package static let identity: UInt128 = {
        // A system that does not say has no answer to the question below.
        guard let boot = try? POSIXFileSystem().stream("/proc/sys/kernel/random/boot_id", atMost: 64),
            let namespace = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")  // likewise
        else { return 0 }
        return Hashing.digest((boot + Array(namespace.utf8))[...]).rawValue
    }()

    /// Whether the writer of a status is known to have ended without removing it.
    package static func hasEnded(_ status: SaveStatus) -> Bool {
        guard identity != 0, status.machine == identity else { return false }
        return !FileManager.default.fileExists(atPath: "/proc/\(status.process)")
    }
}

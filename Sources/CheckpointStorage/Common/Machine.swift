internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import Foundation
internal import SystemPackage

/// Decides whether a process id in a status file refers to a process visible from here
/// (Formats/store-layout.md, Status).
package enum Machine {
    /// Identity of the current boot and process namespace (pid_namespaces(7)); 0 if the system does
    /// not report it.
    package static let identity: UInt128 = {
        // Both files are needed: if one cannot be read, there is no identity, and the result is 0.
        guard let boot = try? POSIXFileSystem().stream("/proc/sys/kernel/random/boot_id", atMost: 64),
            // Without the namespace, there is no identity either.
            let namespace = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
        else { return 0 }
        return Hashing.digest((boot + Array(namespace.utf8))[...]).rawValue
    }()

    /// Returns true if the writer of a status is known to have ended without removing its status
    /// file.
    ///
    /// - Parameter status: the decoded status file.
    package static func hasEnded(_ status: SaveStatus) -> Bool {
        guard identity != 0, status.machine == identity else { return false }
        return !FileManager.default.fileExists(atPath: "/proc/\(status.process)")
    }
}

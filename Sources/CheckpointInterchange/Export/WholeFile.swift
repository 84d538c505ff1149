internal import CheckpointExchange
internal import CheckpointIO
package import CheckpointStorage
internal import SystemPackage

/// An output file that is complete or does not exist: it is written under a temporary name, made
/// durable, and renamed.
package struct WholeFile: Sendable {
    private let path: String
    private let replacesExisting: Bool

    /// Names the file; nothing is written yet.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - replacesExisting: false to refuse a file that exists.
    package init(_ path: String, replacesExisting: Bool) {
        (self.path, self.replacesExisting) = (path, replacesExisting)
    }

    /// Checks whether the file may be written, before a work that takes long.
    ///
    /// - Throws: codes `misuse` (it exists), `notFound` (its directory), `io`, `noSpace`.
    package func check() throws(CheckpointError) {
        try exchanging("checking \(path)") { try output().abandon() }
    }

    /// Writes the file.
    ///
    /// - Parameter bytes: its content.
    /// - Throws: as `check`.
    package func write(_ bytes: [UInt8]) throws(CheckpointError) {
        try exchanging("writing \(path)") {
            let output = try output()
            try output.create(FilePath(path).lastComponent?.string ?? path).write(bytes, at: 0)
            try output.publish()
        }
    }

    private func output() throws(ExchangeError) -> AtomicOutput {
        try AtomicOutput(
            FilePath(path), isDirectory: false,
            replacement: replacesExisting ? AtomicOutput.Replacement { _ in true } : nil,
            in: POSIXFileSystem(usesDirectIO: false))
    }
}

internal import CheckpointExchange
internal import CheckpointIO
internal import CheckpointStorage
internal import SystemPackage

/// Check of a file or directory for the result of an import, without reading tensors and
/// without writing anything.
package struct ForeignExamination: Sendable {
    /// Kind of a file that is not weights: a Git LFS pointer, a web page, ...
    package private(set) var standIn: String?
    /// Why an import would fail.
    package private(set) var problem: String?
    /// The remedy for the problem.
    package private(set) var remedy: String?
    /// Entries that an import would leave out, as sentences.
    package private(set) var leftOut: [String] = []
    /// Assumptions of an import, and files that it would skip, as sentences.
    package private(set) var notes: [String] = []

    /// Examines a file or directory.
    ///
    /// - Parameter path: the file or directory.
    package init(_ path: String) {
        let files = POSIXFileSystem(usesDirectIO: false)
        do throws(ExchangeError) {
            let checkpoint = try ForeignReader(files, spillDirectory: nil).read(FilePath(path))
            leftOut = checkpoint.leftOut.map { "\($0.name) is not imported: \($0.what)." }
            notes = checkpoint.notes
        } catch {
            // Compressed entries must be unpacked to be checked further.
            if case .notInflated = error.kind { return }
            (problem, remedy) = (error.message, error.remedy)
        }
        if problem != nil { standIn = Self.standIn(FilePath(path), files) }
    }

    /// Returns whether a file has the name of an index of shards.
    ///
    /// - Parameter name: the file's name, without directories.
    package static func isIndex(_ name: String) -> Bool { ForeignDirectory.isIndex(name) }

    private static func standIn(_ path: FilePath, _ files: POSIXFileSystem) -> String? {
        // The problem states why the file cannot be read.
        guard let bytes = try? beginning(of: path, files), let known = KnownFile.recognise(bytes),
            known.isStandIn
        else { return nil }
        return known.what
    }

    private static func beginning(
        of path: FilePath, _ files: POSIXFileSystem
    ) throws(FileSystemError) -> [UInt8] {
        let file = try files.open(path)
        return try file.read(count: min(file.size, KnownFile.beginningBytes), at: 0)
    }
}

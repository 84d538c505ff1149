internal import CheckpointExchange
internal import CheckpointIO
internal import CheckpointStorage
internal import SystemPackage

/// Check of a file or directory for what an import of it would say, without reading a tensor and
/// without writing anything.
package struct ForeignExamination: Sendable {
    /// What the file is, if it is in the place of weights: a Git LFS pointer, a web page, ...
    package private(set) var standIn: String?
    /// Why an import would fail.
    package private(set) var problem: String?
    /// What to do about the problem.
    package private(set) var remedy: String?
    /// What an import would leave out, as sentences.
    package private(set) var leftOut: [String] = []
    /// What an import would assume or pass over, as sentences.
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
            // What is compressed has to be unpacked to be checked further.
            if case .notInflated = error.kind { return }
            (problem, remedy) = (error.message, error.remedy)
        }
        if problem != nil { standIn = Self.standIn(FilePath(path), files) }
    }

    private static func standIn(_ path: FilePath, _ files: POSIXFileSystem) -> String? {
        // A file that cannot be read is no stand-in; the problem says why.
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

internal import CheckpointIO

/// Progress of an import: the bytes of the files are read first, then the tensors are written.
final class ImportProgress: Sendable {
    private let readBytes = Monitor(0)
    private let total: Int
    private let report: (@Sendable (_ done: Int, _ total: Int) -> Void)?

    init(_ files: ForeignFiles, _ report: (@Sendable (_ done: Int, _ total: Int) -> Void)?) {
        total = files.fileBytes + files.tensorBytes
        self.report = report
    }

    /// Adds bytes that were read.
    func add(_ bytes: Int) {
        let done = readBytes.withLock { read in
            read += bytes
            return read
        }
        report?(done, total)
    }

    /// - Parameter bytes: bytes of tensors written so far.
    func wrote(_ bytes: Int) { report?(readBytes.withLock { $0 } + bytes, total) }
}

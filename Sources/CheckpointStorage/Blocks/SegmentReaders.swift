internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import SystemPackage

/// The open segments of one manifest; each is opened when it is first needed.
///
/// Any thread that reads. Files are opened with its lock not held: of two threads that need the
/// same segment first, one closes its file again.
final class SegmentReaders: Sendable {
    private let store: CheckpointStore
    private let segments: [SegmentReference]
    /// Path of each segment: an error of any of its blocks names it.
    private let paths: [FilePath]
    private let readers = Monitor<[Int: BlockReader]>([:])

    init(store: CheckpointStore, segments: [SegmentReference]) {
        self.store = store
        self.segments = segments
        paths = segments.map { store.directories.path(of: $0.name) }
    }

    /// Returns the reader of the segment in row `segment` of the manifest. Any thread.
    ///
    /// The file is opened outside the lock, so that threads do not wait for each other's I/O. If
    /// two threads open it at the same time, the first one's reader is kept.
    ///
    /// - Throws: `SegmentError.missing` if the file does not exist. This is the one place where
    ///   a missing segment becomes damage to the checkpoint that names it.
    func reader(of segment: Int) throws(SegmentError) -> BlockReader {
        if let reader = readers.withLock({ $0[segment] }) { return reader }
        let opened = try open(segments[segment])
        return readers.withLock { readers in
            if let reader = readers[segment] { return reader }
            readers[segment] = opened
            return opened
        }
    }

    func path(of segment: Int) -> FilePath { paths[segment] }

    private func open(_ segment: SegmentReference) throws(SegmentError) -> BlockReader {
        do throws(SegmentError) {
            return try BlockReader(
                segment, fileSystem: store.fileSystem, directories: store.directories)
        } catch {
            guard case .io(let cause) = error, cause.errno == .noSuchFileOrDirectory else {
                throw error
            }
            throw .missing(cause)
        }
    }
}

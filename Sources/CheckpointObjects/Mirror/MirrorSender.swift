internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// Sends files of a store to its mirror, until it is to stop.
struct MirrorSender {
    let source: CheckpointStore
    let target: any ObjectStore
    /// Nil for no limit.
    let limiter: Monitor<RateLimiter>?
    let cancellation: Cancellation

    /// Writes an object, whatever is there.
    func upload(_ key: String, from path: FilePath) throws(CheckpointError) {
        let file = try open(path)
        do { try target.upload(key, from: file) } catch {
            throw CheckpointError(error, in: target.description)
        }
    }

    /// Checks that a segment is what was written, so that damage is not passed on: structure, and
    /// the stored bytes of each block.
    ///
    /// - Throws: code `damaged`, also if the file is missing; `io`, `cancelled`.
    func verify(_ segment: SegmentReference) throws(CheckpointError) {
        let verifier = SegmentVerifier(
            fileSystem: source.fileSystem, directories: source.directories)
        var damage: SegmentError?
        do throws(SegmentError) {
            let index = try verifier.check(segment.name) { damage = damage ?? $0 }
            if let damage { throw damage }
            guard index.trailerHash != segment.trailerHash else { return }
        } catch {
            var failure = CheckpointError(error)
            if failure.code == .notFound { failure.code = .damaged }
            if failure.code == .damaged { failure.remedy = Self.remedy }
            throw failure
        }
        throw CheckpointError(
            .damaged, "\(segment.name) is not the segment that was committed", remedy: Self.remedy,
            path: source.directories.path(of: segment.name).string)
    }

    private static let remedy =
        "Run ckpt verify to list all damage, ckpt repair to salvage intact tensors"

    /// Creates an object that nobody has created.
    func create(_ key: String, from path: FilePath) throws(CheckpointError) {
        let file = try open(path)
        let bytes = try translating("reading \(path)") { () throws(FileSystemError) in
            try file.read(count: file.size, at: 0)
        }
        do { try target.create(key, bytes) } catch {
            throw CheckpointError(error, in: target.description)
        }
    }

    private func open(_ path: FilePath) throws(CheckpointError) -> any ReadableFile {
        let file = try translating("reading \(path)") { () throws(FileSystemError) in
            try source.fileSystem.open(path)
        }
        return MirroredFile(file, path, limiter, cancellation)
    }
}

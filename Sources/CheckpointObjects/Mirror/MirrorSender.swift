internal import CheckpointIO
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

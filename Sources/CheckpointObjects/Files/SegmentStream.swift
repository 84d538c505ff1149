internal import CheckpointIO
internal import SystemPackage

/// The upload of a segment while it is written to a file of this machine: each part when all its
/// pages are there, after which the file has a hole in its place.
///
/// A segment of a single part is not begun: its file stays whole, and is uploaded at the end.
/// Thread-safe, except that `finish` comes after the last write.
final class SegmentStream: Sendable {
    private enum Upload {
        case none
        case beginning
        case begun(any StreamedUpload)
    }

    private struct State {
        var pages: PageMap
        /// Parts that are uploaded, or about to be.
        var sent: Set<Int> = []
        /// Of those, the ones that have not ended.
        var pending = 0
        /// Bytes of the file that take space.
        var held = 0
        var upload = Upload.none
        var failure: ObjectStoreError?
        var isAbandoned = false
        var isComplete = false
    }

    /// The key of the object.
    let key: String
    private let path: FilePath
    private let objects: any ObjectStore
    private let partBytes: Int
    private let uploader: SpoolUploader
    private let files = POSIXFileSystem(usesDirectIO: false)
    private let state: Monitor<State>

    /// Creates a stream; uploads nothing yet.
    ///
    /// - Parameters:
    ///   - key: the key of the object.
    ///   - path: the file on this machine.
    ///   - objects: the place of the object.
    ///   - partBytes: size of the parts in bytes.
    ///   - uploader: makes the uploads.
    init(
        _ key: String, from path: FilePath, to objects: any ObjectStore, partBytes: Int,
        _ uploader: SpoolUploader
    ) {
        (self.key, self.path, self.objects) = (key, path, objects)
        (self.partBytes, self.uploader) = (partBytes, uploader)
        state = Monitor(State(pages: PageMap(partBytes: partBytes)))
    }

    /// True if parts of the file are no longer on this machine.
    var hasBegun: Bool { state.withLock { !$0.sent.isEmpty } }

    /// Takes space for bytes that are about to be written; may wait for uploads.
    ///
    /// - Throws: the failure of an upload.
    func willWrite(_ count: Int) throws(FileSystemError) {
        if let failure = state.withLock({ $0.failure }) { throw error(failure) }
        uploader.reserve(count)
        state.withLock { $0.held += count }
    }

    /// Notes that bytes were written, and uploads what has become complete.
    ///
    /// - Throws: `.notSupported` if a part was uploaded without them.
    func didWrite(_ range: Range<Int>) throws(FileSystemError) {
        guard !range.isEmpty else { return }
        let parts = range.lowerBound / partBytes...(range.upperBound - 1) / partBytes
        let complete = state.withLock { state -> [Int]? in
            guard state.sent.isDisjoint(with: parts) else { return nil }
            let complete = state.pages.insert(range)
            // In the order of the file, so that the first begins the upload.
            for part in complete { state.sent.insert(part) }
            state.pending += complete.count
            return complete
        }
        guard let complete else {
            throw FileSystemError(
                "PUT", path, .notSupported, detail: "a part of it was uploaded before this write")
        }
        for part in complete { add(part, part * partBytes..<(part + 1) * partBytes) }
    }

    private func add(_ part: Int, _ range: Range<Int>) {
        uploader.add {
            do throws(ObjectStoreError) {
                if let upload = try self.upload() { try self.send(part, range, upload) }
                self.state.withLock { $0.pending -= 1 }
            } catch {
                let failure = error
                self.state.withLock { state in
                    state.pending -= 1
                    state.failure = state.failure ?? failure
                }
            }
        }
    }

    private func send(
        _ part: Int, _ range: Range<Int>, _ upload: any StreamedUpload
    ) throws(ObjectStoreError) {
        let file: any ReadableFile
        do { file = try files.open(path) } catch {
            throw ObjectStoreError(.failed, "PUT", key, "\(error)", cause: error)
        }
        try upload.send(part, from: file, range)
        // Where the file system has no holes, the space is free at the end.
        guard (try? files.freeSpace(of: path, range)) != nil else { return }
        state.withLock { $0.held -= range.count }
        uploader.release(range.count)
    }

    /// Returns the upload, begun by the first thread that needs it; nil if no part is to be sent.
    private func upload() throws(ObjectStoreError) -> (any StreamedUpload)? {
        enum Turn {
            case begin
            case send(any StreamedUpload)
            case stop
        }
        let turn = state.waitFor { state -> Turn? in
            if state.isAbandoned || state.failure != nil { return .stop }
            switch state.upload {
            case .none:
                state.upload = .beginning
                return .begin
            case .beginning: return nil
            case .begun(let upload): return .send(upload)
            }
        }
        switch turn {
        case .send(let upload): return upload
        case .stop: return nil
        case .begin:
            do throws(ObjectStoreError) {
                let upload = try objects.stream(key)
                state.withLock { $0.upload = .begun(upload) }
                return upload
            } catch {
                let failure = error
                state.withLock { state in
                    state.upload = .none
                    state.failure = failure
                }
                throw error
            }
        }
    }

    /// Uploads what is left, and creates the object. Called after the last write, if `hasBegun`.
    ///
    /// - Parameter size: size of the file in bytes.
    /// - Throws: the failure of an upload; if that is of the last step, the object may exist.
    func finish(size: Int) throws(ObjectStoreError) {
        let rest = state.withLock { state -> [Int] in
            let rest = (0..<(size + partBytes - 1) / partBytes).filter { !state.sent.contains($0) }
            state.sent.formUnion(rest)
            state.pending += rest.count
            return rest
        }
        for part in rest { add(part, part * partBytes..<min((part + 1) * partBytes, size)) }
        let (upload, failure) = waitForUploads()
        if let failure {
            abandon()
            throw failure
        }
        guard let upload else { preconditionFailure("a stream that has not begun is finished") }
        do { try upload.complete(byteCount: size) } catch {
            abandon()
            throw error
        }
        state.withLock { $0.isComplete = true }
    }

    private func waitForUploads() -> ((any StreamedUpload)?, ObjectStoreError?) {
        state.waitFor { state in
            guard state.pending == 0 else { return nil }
            guard case .begun(let upload) = state.upload else { return (nil, state.failure) }
            return (upload, state.failure)
        }
    }

    /// Gives the upload up unless it is complete. Called also when the file is removed, and then
    /// gives its space back.
    func abandon(isRemoved: Bool = false) {
        let isFirst = state.withLock { state in
            defer { state.isAbandoned = true }
            return !state.isAbandoned && !state.isComplete
        }
        if isFirst { waitForUploads().0?.abort() }
        guard isRemoved else { return }
        let held = state.withLock { state in
            defer { state.held = 0 }
            return state.held
        }
        uploader.release(held)
    }

    private func error(_ failure: ObjectStoreError) -> FileSystemError {
        FileSystemError(failure.operation, path, failure.errno, detail: failure.detail)
    }
}

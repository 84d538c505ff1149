internal import CheckpointIO
internal import SystemPackage

/// A small object that is created when it is synced or, at the latest, closed.
final class NewObject: WritableFile {
    private struct State {
        var bytes: [UInt8] = []
        var isCreated = false
    }

    private let path: FilePath
    private let bytesMax: Int
    private let create: @Sendable ([UInt8]) throws(FileSystemError) -> Void
    private let state = Monitor(State())

    /// Creates nothing yet.
    ///
    /// - Parameters:
    ///   - path: the object, for errors.
    ///   - bytesMax: maximum size in bytes.
    ///   - create: creates the object with these bytes; called once.
    init(
        path: FilePath, bytesMax: Int,
        create: @escaping @Sendable ([UInt8]) throws(FileSystemError) -> Void
    ) {
        (self.path, self.bytesMax, self.create) = (path, bytesMax, create)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        let end = offset + bytes.count
        guard offset >= 0, end <= bytesMax else {
            throw FileSystemError("PUT", path, .fileTooLarge)
        }
        state.withLock { state in
            state.bytes += [UInt8](repeating: 0, count: max(end - state.bytes.count, 0))
            unsafe state.bytes.replaceSubrange(offset..<end, with: bytes)
        }
    }

    func truncate(to count: Int) throws(FileSystemError) {
        guard (0...bytesMax).contains(count) else {
            throw FileSystemError("PUT", path, .fileTooLarge)
        }
        state.withLock { state in
            state.bytes += [UInt8](repeating: 0, count: max(count - state.bytes.count, 0))
            state.bytes.removeLast(state.bytes.count - count)
        }
    }

    func sync() throws(FileSystemError) {
        let bytes = state.withLock { state -> [UInt8]? in
            guard !state.isCreated else { return nil }
            state.isCreated = true
            return state.bytes
        }
        if let bytes { try create(bytes) }
    }

    /// An error is lost here. Those who must know call `sync` first.
    func close() { try? sync() }
}

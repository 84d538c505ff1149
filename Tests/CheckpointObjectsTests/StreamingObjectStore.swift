import CheckpointIO
@testable import CheckpointObjects

/// Objects in memory that may be uploaded in small parts while they are written.
final class StreamingObjectStore: ObjectStore {
    typealias Hook = @Sendable (_ part: Int) throws(ObjectStoreError) -> Void

    private struct State {
        var begun = 0
        var aborted = 0
        var parts: [Int] = []
    }

    let base = InMemoryObjectStore()
    private let partBytes: Int
    private let hook: Hook
    private let state = Monitor(State(), rank: .unchecked)

    /// - Parameters:
    ///   - partBytes: size of a part.
    ///   - hook: called before each part is taken; may wait, or fail it.
    init(partBytes: Int, _ hook: @escaping Hook = { _ throws(ObjectStoreError) in }) {
        (self.partBytes, self.hook) = (partBytes, hook)
    }

    var begun: Int { state.withLock { $0.begun } }
    var aborted: Int { state.withLock { $0.aborted } }
    /// Sizes of the parts that have come.
    var parts: [Int] { state.withLock { $0.parts } }

    var description: String { base.description }
    var streamedPartBytes: Int? { partBytes }

    private final class Upload: StreamedUpload {
        let store: StreamingObjectStore
        let key: String
        let parts = Monitor<[Int: [UInt8]]>([:], rank: .unchecked)

        init(_ store: StreamingObjectStore, _ key: String) { (self.store, self.key) = (store, key) }

        func send(
            _ number: Int, from source: any ReadableFile, _ range: Range<Int>
        ) throws(ObjectStoreError) {
            try store.hook(number)
            do {
                let bytes = try source.read(count: range.count, at: range.lowerBound)
                parts.withLock { $0[number] = bytes }
                store.state.withLock { $0.parts.append(range.count) }
            } catch { throw ObjectStoreError(.failed, "PUT", key, "\(error)") }
        }
        func complete(byteCount: Int) throws(ObjectStoreError) {
            let parts = parts.withLock { $0.sorted { $0.key < $1.key } }
            guard parts.map(\.key) == Array(0..<parts.count),
                parts.reduce(0, { $0 + $1.value.count }) == byteCount
            else {
                throw ObjectStoreError(.failed, "POST", key, "parts are missing")
            }
            try store.base.upload(key, from: MemoryFile(parts.flatMap(\.value)))
        }
        func abort() { store.state.withLock { $0.aborted += 1 } }
    }

    func stream(_ key: String) throws(ObjectStoreError) -> any StreamedUpload {
        state.withLock { $0.begun += 1 }
        return Upload(self, key)
    }
    func create(_ key: String, _ content: [UInt8]) throws(ObjectStoreError) {
        try base.create(key, content)
    }
    func upload(_ key: String, from source: any ReadableFile) throws(ObjectStoreError) {
        try base.upload(key, from: source)
    }
    func read(
        into bytes: UnsafeMutableRawBufferPointer, from key: String, at offset: Int
    ) throws(ObjectStoreError) { unsafe try base.read(into: bytes, from: key, at: offset) }
    func size(of key: String) -> Int? { base.size(of: key) }
    func list(_ prefix: String, limit: Int?) -> ObjectListing { base.list(prefix, limit: limit) }
    func remove(_ key: String) { base.remove(key) }
}

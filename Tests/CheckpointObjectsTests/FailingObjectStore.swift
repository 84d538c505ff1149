import CheckpointIO
@testable import CheckpointObjects

/// Lets one request fail.
final class FailingObjectStore: ObjectStore {
    private struct State {
        var left: Int
        var hasFailed = false
    }

    private let base: any ObjectStore
    private let hasActed: Bool
    private let state: Monitor<State>

    /// - Parameters:
    ///   - base: the objects.
    ///   - request: number of requests that succeed before.
    ///   - hasActed: whether the store does what is asked, and only the answer is lost.
    init(_ base: any ObjectStore, at request: Int, hasActed: Bool) {
        (self.base, self.hasActed) = (base, hasActed)
        state = Monitor(State(left: request), rank: .unchecked)
    }

    /// True if there were so many requests.
    var hasFailed: Bool { state.withLock { $0.hasFailed } }

    var description: String { base.description }

    private func passing<R>(
        _ operation: String, _ key: String, _ body: () throws(ObjectStoreError) -> R
    ) throws(ObjectStoreError) -> R {
        let fails = state.withLock { state in
            state.left -= 1
            if state.left == -1 { state.hasFailed = true }
            return state.left == -1
        }
        guard fails else { return try body() }
        if hasActed { _ = try body() }
        throw ObjectStoreError(.noAnswer, operation, key, "no answer")
    }

    func create(_ key: String, _ content: [UInt8]) throws(ObjectStoreError) {
        try passing("PUT", key) { () throws(ObjectStoreError) in try base.create(key, content) }
    }
    func upload(_ key: String, from source: any ReadableFile) throws(ObjectStoreError) {
        try passing("PUT", key) { () throws(ObjectStoreError) in
            try base.upload(key, from: source)
        }
    }
    func read(
        into bytes: UnsafeMutableRawBufferPointer, from key: String, at offset: Int
    ) throws(ObjectStoreError) {
        try passing("GET", key) { () throws(ObjectStoreError) in
            unsafe try base.read(into: bytes, from: key, at: offset)
        }
    }
    func size(of key: String) throws(ObjectStoreError) -> Int? {
        try passing("HEAD", key) { () throws(ObjectStoreError) in try base.size(of: key) }
    }
    func list(_ prefix: String, limit: Int?) throws(ObjectStoreError) -> ObjectListing {
        try passing("LIST", prefix) { () throws(ObjectStoreError) in
            try base.list(prefix, limit: limit)
        }
    }
    func remove(_ key: String) throws(ObjectStoreError) {
        try passing("DELETE", key) { () throws(ObjectStoreError) in try base.remove(key) }
    }
}

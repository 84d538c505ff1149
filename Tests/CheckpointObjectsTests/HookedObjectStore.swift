import CheckpointIO
@testable import CheckpointObjects

/// Calls a function before each request, which may wait, or fail the request.
final class HookedObjectStore: ObjectStore {
    typealias Hook = @Sendable (_ operation: String, _ key: String) throws(ObjectStoreError) -> Void

    private let base: any ObjectStore
    private let hook: Hook

    init(_ base: any ObjectStore, _ hook: @escaping Hook) { (self.base, self.hook) = (base, hook) }

    var description: String { base.description }

    func create(_ key: String, _ content: [UInt8]) throws(ObjectStoreError) {
        try hook("create", key)
        try base.create(key, content)
    }
    func upload(_ key: String, from source: any ReadableFile) throws(ObjectStoreError) {
        try hook("upload", key)
        try base.upload(key, from: source)
    }
    func read(
        into bytes: UnsafeMutableRawBufferPointer, from key: String, at offset: Int
    ) throws(ObjectStoreError) {
        try hook("read", key)
        unsafe try base.read(into: bytes, from: key, at: offset)
    }
    func size(of key: String) throws(ObjectStoreError) -> Int? {
        try hook("size", key)
        return try base.size(of: key)
    }
    func list(_ prefix: String, limit: Int?) throws(ObjectStoreError) -> ObjectListing {
        try hook("list", prefix)
        return try base.list(prefix, limit: limit)
    }
    func remove(_ key: String) throws(ObjectStoreError) {
        try hook("remove", key)
        try base.remove(key)
    }
}

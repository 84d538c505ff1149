internal import CheckpointCodecs
internal import CheckpointFormat
package import CheckpointIO
internal import CheckpointStorage
internal import Foundation
package import SystemPackage

/// A store's files as objects (Formats/store-layout.md, In a bucket).
///
/// What the other processes never see stays on this machine: `staging/`, the locks and temporary
/// names. A file gets its final name with `link`, and that creates the object: a segment by an
/// upload, everything else by a create that succeeds for one of several. The commit protocol is
/// therefore the one of a directory, step by step. An object that has been created is durable, so
/// syncs do nothing.
///
/// Manifests and the right to remove them are locked between machines by objects. The writer's lock
/// reaches the processes of this machine only: two machines may write at the same time.
package final class ObjectFileSystem: FileSystem {
    private let objects: any ObjectStore
    /// What the path of everything in the store begins with.
    private let prefix: String
    /// Directory that all processes of a user share, with the writer's lock.
    private let shared: FilePath
    private let spool: SpoolDirectory
    private let locks: ObjectLocks
    private let local = POSIXFileSystem(usesDirectIO: false)
    private let spoolBytesMax: Int?
    private let uploader = Monitor<SpoolUploader?>(nil)
    /// Segments that are written, by their files on this machine.
    private let streams = Monitor<[FilePath: SegmentStream]>([:])

    /// Creates access to a store.
    ///
    /// - Parameters:
    ///   - objects: the place of the objects, with keys relative to the store.
    ///   - root: the path by which the store is opened; it exists nowhere.
    ///   - cache: a directory on this machine for what is not an object, the same for all
    ///     processes of one user. Created when needed.
    ///   - spoolBytes: space for segments on this machine from which on writers wait for uploads;
    ///     nil for half of what is free when the first segment is written.
    package convenience init(
        _ objects: any ObjectStore, root: FilePath, cache: FilePath, spoolBytes: Int? = nil
    ) {
        let locks = ObjectLocks(objects, holder: LockHolder.current.encoded)
        self.init(objects, root: root, cache: cache, locks: locks, spoolBytes: spoolBytes)
    }

    init(
        _ objects: any ObjectStore, root: FilePath, cache: FilePath, locks: ObjectLocks,
        spoolBytes: Int? = nil
    ) {
        (self.objects, prefix, shared) = (objects, root.string + "/", cache)
        spoolBytesMax = spoolBytes
        spool = SpoolDirectory(in: cache)
        self.locks = locks
    }

    /// Maximum size of a file that is created under its final name, in bytes. The store creates
    /// such files empty or with a line of text.
    private static let directBytesMax = 1 << 20

    // MARK: Names

    /// The place to which a path leads.
    private enum Place {
        /// A file of this machine.
        case local(FilePath)
        /// An object or, if there is none, what the keys of objects begin with.
        case object(String)
        /// The store itself.
        case root
    }

    private func place(of path: FilePath) throws(FileSystemError) -> Place {
        let text = path.string
        guard text.hasPrefix(prefix) else { return .root }
        let name = String(decoding: text.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
        if ["writer.lock", "maintenance.lock"].contains(name) {
            return .local(shared.appending(name))
        }
        let isSpooled =
            name == "staging" || name.hasPrefix("staging/") || name.hasPrefix("probe-")
            || name.hasSuffix(".tmp")
        return isSpooled ? .local(try spool.path().appending(name)) : .object(name)
    }

    private func failing<R>(
        _ path: FilePath, _ body: () throws(ObjectStoreError) -> R
    ) throws(FileSystemError) -> R {
        do { return try body() } catch {
            throw FileSystemError(error.operation, path, error.errno, detail: error.detail)
        }
    }

    private func unsupported(_ call: String, _ path: FilePath) -> FileSystemError {
        FileSystemError(
            call, path, .notSupported, detail: "a bucket does not support this operation")
    }

    /// Creates the parent directories of a local file.
    private func prepare(_ path: FilePath) throws(FileSystemError) {
        let parent = path.removingLastComponent()
        if try local.kind(of: parent) == nil { try SpoolDirectory.makeDirectory(parent) }
    }

    // MARK: Files

    package func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile {
        switch try place(of: path) {
        case .local(let file):
            try prepare(file)
            return try createSpooled(file)
        case .object(let key):
            let size = try failing(path) { () throws(ObjectStoreError) in
                try objects.size(of: key)
            }
            guard size == nil else { throw FileSystemError("PUT", path, .fileExists) }
            return NewObject(path: path, bytesMax: Self.directBytesMax) {
                bytes throws(FileSystemError) in
                try self.failing(path) { () throws(ObjectStoreError) in
                    try self.objects.create(key, bytes)
                }
            }
        case .root: throw FileSystemError("PUT", path, .isDirectory)
        }
    }

    private func createSpooled(_ path: FilePath) throws(FileSystemError) -> any WritableFile {
        let name = path.lastComponent?.string ?? ""
        guard let partBytes = objects.streamedPartBytes, SegmentName(name) != nil else {
            return SpooledFile(try local.create(path))
        }
        let stream = SegmentStream(
            "segments/\(name)", from: path, to: objects, partBytes: partBytes,
            try streamUploader())
        let file = StreamedFile(try local.create(path), stream)
        streams.withLock { $0[path] = stream }
        return file
    }

    private func streamUploader() throws(FileSystemError) -> SpoolUploader {
        if let uploader = uploader.withLock({ $0 }) { return uploader }
        var bytesMax = spoolBytesMax
        if bytesMax == nil {
            let half = try local.availableBytes(at: spool.path()) / 2
            bytesMax = max(half, SpoolUploader.bytesMin)
        }
        let new = SpoolUploader(bytesMax: bytesMax ?? 0)
        return uploader.withLock { uploader in
            let made = uploader ?? new
            uploader = made
            return made
        }
    }

    package func reopen(_ path: FilePath) throws(FileSystemError) -> (any WritableFile)? {
        switch try place(of: path) {
        case .local(let file): return try local.reopen(file)
        case .object(let key):
            guard let manifest = manifest(key) else { return nil }
            let lock = try failing(path) { () throws(ObjectStoreError) in
                guard try objects.size(of: key) != nil else {
                    throw ObjectStoreError(.notFound, "HEAD", key, "it was removed")
                }
                return try locks.take(manifest, .exclusive)
            }
            return lock.map { ClaimedObject(path, $0) }
        case .root: return nil
        }
    }

    package func hold(_ path: FilePath) throws(FileSystemError) -> any ReadableFile {
        guard case .object(let key) = try place(of: path), let manifest = manifest(key) else {
            return try open(path)
        }
        let lock = try failing(path) { () throws(ObjectStoreError) in
            try locks.take(manifest, .shared)
        }
        guard let lock else { throw FileSystemError("PUT", path, .resourceTemporarilyUnavailable) }
        return HeldFile(try open(path), lock)
    }

    /// Returns the name of the manifest that an object is; nil for another object.
    private func manifest(_ key: String) -> String? {
        key.hasPrefix("manifests/") ? String(key.dropFirst("manifests/".count)) : nil
    }

    /// Checks, before what was done under locks is made visible, that they still count.
    private func checkLocks(_ path: FilePath) throws(FileSystemError) {
        guard !locks.areTrusted else { return }
        throw FileSystemError(
            "PUT", path, .timedOut,
            detail: "the locks of this process have expired: the process was stopped, or the store "
                + "did not respond, for too long")
    }

    package func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile {
        switch try place(of: path) {
        case .local(let file): return try local.open(file)
        case .object(let key):
            let size = try failing(path) { () throws(ObjectStoreError) in
                try objects.size(of: key)
            }
            guard let size else { throw FileSystemError("GET", path, .noSuchFileOrDirectory) }
            return unsafe ObjectFile(size: size) { bytes, offset throws(FileSystemError) in
                guard offset >= 0, offset + bytes.count <= size else {
                    throw FileSystemError("GET", path, .outOfRange)
                }
                try self.failing(path) { () throws(ObjectStoreError) in
                    unsafe try self.objects.read(into: bytes, from: key, at: offset)
                }
            }
        case .root: throw FileSystemError("GET", path, .notSupported)
        }
    }

    package func list(_ directory: FilePath) throws(FileSystemError) -> [String] {
        let prefix: String
        switch try place(of: directory) {
        case .local(let path): return try local.listIfThere(path)
        case .object(let key): prefix = key + "/"
        case .root: prefix = ""
        }
        let listing = try failing(directory) { () throws(ObjectStoreError) in
            try objects.list(prefix, limit: nil)
        }
        return listing.objects + listing.prefixes
    }

    package func list(
        _ directory: FilePath, olderThan age: Duration
    ) throws(FileSystemError) -> [String] {
        guard case .object(let key) = try place(of: directory) else {
            throw unsupported("LIST", directory)
        }
        let listing = try failing(directory) { () throws(ObjectStoreError) in
            try objects.list(key + "/", limit: nil)
        }
        return listing.objects.filter { listing.ages[$0].map { $0 >= age } ?? false }
    }

    package func kind(of path: FilePath) throws(FileSystemError) -> FileKind? {
        switch try place(of: path) {
        case .local(let file): return try local.kind(of: file)
        case .root: return .directory
        case .object(let key):
            return try failing(path) { () throws(ObjectStoreError) in
                if try objects.size(of: key) != nil { return .file }
                return try objects.list(key + "/", limit: 1).isEmpty ? nil : .directory
            }
        }
    }

    package func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity? {
        switch try place(of: path) {
        case .local(let file): return try local.identity(of: file)
        case .root: return FileIdentity(device: 0, number: 0, names: 1)
        case .object(let key):
            guard try kind(of: path) == .file else { return nil }
            // The key is what an object is known by.
            let hash = Hashing.digest(Array(key.utf8)[...])
            return FileIdentity(
                device: 0, number: UInt64(truncatingIfNeeded: hash.rawValue), names: 1)
        }
    }

    package func makeDirectory(_ path: FilePath) throws(FileSystemError) {
        guard case .local(let directory) = try place(of: path) else { return }
        try prepare(directory)
        try local.makeDirectory(directory)
    }

    package func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError) {
        switch (try place(of: existing), try place(of: new)) {
        case (.local(let file), .local(let other)): try local.link(file, to: other)
        case (.local(let file), .object(let key)):
            let source = try local.open(file)
            if isSegment(new) {
                let stream = streams.withLock { $0[file] }
                return try upload(source, stream, as: key, new)
            }
            let bytes = try source.read(count: source.size, at: 0)
            try checkLocks(new)
            try failing(new) { () throws(ObjectStoreError) in try objects.create(key, bytes) }
        default: throw unsupported("link(2)", new)
        }
    }

    /// Returns true for a name that only one attempt can give, so that nobody else creates it.
    private func isSegment(_ path: FilePath) -> Bool {
        path.removingLastComponent().lastComponent?.string == "segments"
    }

    private func upload(
        _ source: any ReadableFile, _ stream: SegmentStream?, as key: String, _ path: FilePath
    ) throws(FileSystemError) {
        try failing(path) { () throws(ObjectStoreError) in
            guard try objects.size(of: key) == nil else {
                throw ObjectStoreError(.exists, "PUT", key, "an object has this key")
            }
            guard let stream, stream.hasBegun else {
                return try objects.upload(key, from: source)
            }
            precondition(stream.key == key, "a segment is linked under another name")
            try stream.finish(size: source.size)
        }
    }

    package func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError) {
        switch (try place(of: existing), try place(of: new)) {
        case (.local(let file), .local(let other)): try local.replace(other, with: file)
        case (.local(let file), .object(let key)):
            let source = try local.open(file)
            try checkLocks(new)
            try failing(new) { () throws(ObjectStoreError) in
                try objects.upload(key, from: source)
            }
            try local.remove(file)
        default: throw unsupported("rename(2)", new)
        }
    }

    package func remove(_ path: FilePath) throws(FileSystemError) {
        switch try place(of: path) {
        case .local(let file):
            try local.remove(file)
            streams.withLock { $0.removeValue(forKey: file) }?.abandon(isRemoved: true)
        case .root: throw unsupported("unlink(2)", path)
        case .object(let key):
            try checkLocks(path)
            try failing(path) { () throws(ObjectStoreError) in try objects.remove(key) }
        }
    }

    package func removeDirectory(_ path: FilePath) throws(FileSystemError) {
        guard case .local(let directory) = try place(of: path) else { return }
        try local.removeDirectory(directory)
    }

    package func syncDirectory(_ path: FilePath) {}
    package func syncName(of path: FilePath) {}

    // MARK: Locks and space

    package var excludesOtherWriters: Bool { false }
    package var transferCheck: String? { objects.transferCheck?.rawValue }

    package func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)? {
        guard case .local(let file) = try place(of: path) else { return nil }
        try prepare(file)
        guard let lock = try local.lock(file) else { return nil }
        guard file.lastComponent == Self.maintenance else { return lock }
        let remote = try failing(path) { () throws(ObjectStoreError) in
            try locks.take(Self.maintenance.string, .exclusive)
        }
        return remote.map { BucketLock(lock, $0) }
    }

    package func record(inLock path: FilePath) -> [UInt8]? {
        // It is for a message only.
        guard case .local(let file) = try? place(of: path) else { return nil }
        guard file.lastComponent == Self.maintenance else { return local.record(inLock: file) }
        // It is for a message only.
        return try? locks.holder(of: Self.maintenance.string)
    }

    private static let maintenance = FilePath.Component("maintenance.lock")

    package func availableBytes(at path: FilePath) throws(FileSystemError) -> Int {
        // What is saved lies in the spool until it is uploaded. Of what is uploaded while it is
        // written, more is saved than is free.
        let free = try local.availableBytes(at: spool.path())
        return objects.streamedPartBytes == nil || free < SpoolUploader.bytesMin ? free : .max
    }
}

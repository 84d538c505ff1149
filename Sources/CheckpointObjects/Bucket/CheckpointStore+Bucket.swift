internal import CheckpointCodecs
internal import CheckpointIO
public import CheckpointStorage
internal import Foundation
package import SystemPackage

extension CheckpointStore {
    /// Opens the store in a bucket of object storage.
    ///
    /// The address, the region and the credentials are those that the user has configured for
    /// other programs (environment, `~/.aws`, the machine's role). What is not in the bucket, the
    /// catalog and the files of a save until they are uploaded, lies below `$XDG_CACHE_HOME/ckpt`
    /// or `~/.cache/ckpt`.
    ///
    /// - Parameters:
    ///   - location: the bucket and the prefix.
    ///   - access: the rights to take. For writing and maintaining, the store is tried first:
    ///     whether of several creates of one object one succeeds. A second writer is excluded on
    ///     this machine only; two of different machines do not harm each other's checkpoints. Who
    ///     maintains the store is alone on all machines.
    ///   - ranks: the processes that save one checkpoint together; they share no file system.
    ///   - spoolBytes: space for segments on this machine from which on a save waits for uploads;
    ///     nil for half of what is free when the first save begins.
    ///   - onWarning: called with problems that do not prevent opening; from any thread.
    /// - Returns: the open store.
    /// - Throws: codes as for a directory, and `unsupported` (a store that cannot hold
    ///   checkpoints), `misuse` (settings that contradict or cannot be read).
    public static func open(
        _ location: S3Location, for access: Access = .reading, ranks: RankGroup? = nil,
        spoolBytes: Int? = nil,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CheckpointError) -> CheckpointStore {
        let connection = try S3Connection(to: location)
        let objects =
            access == .reading
            ? connection.objects : try writableObjects(of: connection, at: location)
        return try open(
            objects, root: FilePath(location.description),
            // A bucket of this name at another address is another bucket.
            cache: try cacheDirectory(of: "\(connection.settings.address) \(location)"),
            for: access, ranks: ranks,
            spoolBytes: spoolBytes, onWarning: onWarning)
    }

    /// Looks for a store in a bucket, without opening it.
    ///
    /// - Parameter location: the bucket and the prefix.
    /// - Returns: true if there is the identity of a store, which may be damaged.
    /// - Throws: codes `io`, `readOnly` (access denied), `misuse` (settings).
    public static func exists(at location: S3Location) throws(CheckpointError) -> Bool {
        let objects = try S3Connection(to: location).objects
        do { return try objects.size(of: "store.json") != nil } catch {
            throw CheckpointError(error, in: location.description)
        }
    }

    /// Aborts the uploads of segments that killed processes began more than a day ago. No listing
    /// shows them, and they cost as much as objects. Opening for writing does this, too.
    ///
    /// - Parameter location: the bucket and the prefix.
    /// - Returns: the number of uploads.
    /// - Throws: codes `io`, `readOnly` (access denied), `unsupported`, `misuse` (settings).
    public static func abortStaleUploads(at location: S3Location) throws(CheckpointError) -> Int {
        let objects = try S3Connection(to: location).objects
        do { return try objects.abortStaleUploads() } catch {
            throw CheckpointError(error, in: location.description)
        }
    }

    /// Returns the objects of a bucket that has been tried, and may be written to.
    ///
    /// - Parameters:
    ///   - location: the bucket and the prefix.
    ///   - cancellation: asks for no request to be sent again; nil if nothing does.
    /// - Throws: codes `unsupported` (it cannot hold checkpoints), `misuse` (settings), `io`,
    ///   `readOnly` (access denied).
    package static func writableObjects(
        at location: S3Location, cancellation: Cancellation? = nil
    ) throws(CheckpointError) -> S3ObjectStore {
        try writableObjects(
            of: try S3Connection(to: location, cancellation: cancellation), at: location)
    }

    private static func writableObjects(
        of connection: S3Connection, at location: S3Location
    ) throws(CheckpointError) -> S3ObjectStore {
        let objects = connection.objects
        do {
            try connection.probe()
            // Those that cannot be aborted cost, and do no other harm.
            _ = try? objects.abortStaleUploads()
            return objects.checking(try objects.bestTransferCheck())
        } catch { throw CheckpointError(error, in: location.description) }
    }

    /// Opens the store whose files are objects.
    ///
    /// - Parameters:
    ///   - objects: the place of the objects, which has been tried if it is written to.
    ///   - root: the path that stands for the store in errors.
    ///   - cache: a directory on this machine, of this store alone.
    ///   - access: the rights to take.
    ///   - ranks: the processes that save one checkpoint together.
    ///   - spoolBytes: space for segments on this machine, as above.
    ///   - onWarning: called with problems that do not prevent opening; from any thread.
    package static func open(
        _ objects: any ObjectStore, root: FilePath, cache: FilePath, for access: Access,
        ranks: RankGroup? = nil, spoolBytes: Int? = nil,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(CheckpointError) -> CheckpointStore {
        return try CheckpointStore(
            fileSystem: ObjectFileSystem(
                objects, root: root, cache: cache, spoolBytes: spoolBytes),
            root: root, access: access, catalog: .cache(cache.appending("catalog.sqlite")),
            ranks: ranks,
            onWarning: onWarning)
    }

    /// Returns the directory of what is not in the bucket, and creates it.
    private static func cacheDirectory(of place: String) throws(CheckpointError) -> FilePath {
        let environment = ProcessInfo.processInfo.environment
        // A relative path is invalid, as the specification says.
        let configured = environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
        let base = configured ?? NSHomeDirectory() + "/.cache"
        let name = Hashing.digest(Array(place.utf8)[...])
        let path = FilePath("\(base)/ckpt/\(name)")
        do { try SpoolDirectory.makeDirectory(path) } catch {
            throw CheckpointError(
                .io, "\(error)", remedy: "Set XDG_CACHE_HOME to a directory that you can write to",
                path: path.string)
        }
        return path
    }
}

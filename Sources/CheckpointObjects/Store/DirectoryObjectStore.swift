package import CheckpointIO
internal import Foundation
package import SystemPackage

/// Objects as files of a directory. What it creates is durable, and is never seen in part.
package struct DirectoryObjectStore: ObjectStore {
    private let files: any FileSystem
    private let root: FilePath
    /// Directory of files that have no name yet.
    private let staging: FilePath

    /// Creates access; creates no directory.
    ///
    /// - Parameters:
    ///   - root: the directory.
    ///   - files: the file system.
    package init(_ root: FilePath, files: any FileSystem = POSIXFileSystem(usesDirectIO: false)) {
        (self.files, self.root) = (files, root)
        staging = root.appending("staging")
    }

    package var description: String { root.string }

    /// End of the names of files that are not complete yet.
    static let stagedSuffix = ".object"

    private static let copyBytes = 8 << 20

    private func failing<R>(
        _ operation: String, _ key: String, _ body: () throws(FileSystemError) -> R
    ) throws(ObjectStoreError) -> R {
        do { return try body() } catch {
            let kind: ObjectStoreError.Kind =
                switch error.errno {
                case .noSuchFileOrDirectory: .notFound
                case .fileExists: .exists
                case .permissionDenied, .notPermitted, .readOnlyFileSystem: .denied
                default: .failed
                }
            throw ObjectStoreError(kind, operation, key, "\(error)", cause: error)
        }
    }

    // MARK: Creating

    package func create(_ key: String, _ content: [UInt8]) throws(ObjectStoreError) {
        try stage("create", key) { file throws(FileSystemError) in
            try file.write(content, at: 0)
        } naming: { staged throws(FileSystemError) in
            let path = path(of: key)
            do throws(FileSystemError) { try files.link(staged, to: path) } catch {
                guard error.errno == .fileExists,
                    try files.contents(of: path, atMost: content.count) == content
                else { throw error }
            }
            // The one who named it first may not have come to this yet.
            try files.syncDirectory(path.removingLastComponent())
        }
    }

    package func upload(_ key: String, from source: any ReadableFile) throws(ObjectStoreError) {
        try stage("write", key) { file throws(FileSystemError) in
            for offset in stride(from: 0, to: source.size, by: Self.copyBytes) {
                let count = min(Self.copyBytes, source.size - offset)
                try file.write(try source.read(count: count, at: offset), at: offset)
            }
        } naming: { staged throws(FileSystemError) in
            let path = path(of: key)
            try files.replace(path, with: staged)
            try files.syncDirectory(path.removingLastComponent())
        }
    }

    /// Writes a file without a name, makes it durable, and names it.
    private func stage(
        _ operation: String, _ key: String,
        _ write: (any WritableFile) throws(FileSystemError) -> Void,
        naming: (FilePath) throws(FileSystemError) -> Void
    ) throws(ObjectStoreError) {
        try failing(operation, key) { () throws(FileSystemError) in
            try makeDirectory(staging)
            try makeDirectory(path(of: key).removingLastComponent())
            let staged = staging.appending(UUID().uuidString + Self.stagedSuffix)
            // A file that was renamed is not there any more; of another, recovery takes care.
            defer { try? files.remove(staged) }
            let file = try files.create(staged)
            defer { file.close() }
            try write(file)
            try file.sync()
            try naming(staged)
        }
    }

    /// Creates directories, durably, in which there are no objects yet.
    ///
    /// - Parameter names: the names; those that exist are left as they are.
    package func makeDirectories(_ names: [String]) throws(ObjectStoreError) {
        for name in names {
            try failing("mkdir", name) { () throws(FileSystemError) in
                try makeDirectory(root.appending(name))
            }
        }
    }

    /// Creates a directory with its parents, durably.
    private func makeDirectory(_ path: FilePath) throws(FileSystemError) {
        guard !path.isEmpty, try files.kind(of: path) == nil else { return }
        let parent = path.removingLastComponent()
        try makeDirectory(parent)
        try files.makeDirectory(path)
        try files.syncDirectory(parent.isEmpty ? "." : parent)
    }

    // MARK: Reading

    package func read(
        into bytes: UnsafeMutableRawBufferPointer, from key: String, at offset: Int
    ) throws(ObjectStoreError) {
        try failing("read", key) { () throws(FileSystemError) in
            unsafe try files.open(path(of: key)).read(into: bytes, at: offset)
        }
    }

    package func size(of key: String) throws(ObjectStoreError) -> Int? {
        try failing("stat", key) { () throws(FileSystemError) in
            do throws(FileSystemError) { return try files.open(path(of: key)).size } catch {
                let absent: [Errno] = [.noSuchFileOrDirectory, .notDirectory, .notSupported]
                guard absent.contains(error.errno) else { throw error }
                return nil
            }
        }
    }

    package func list(_ prefix: String, limit: Int?) throws(ObjectStoreError) -> ObjectListing {
        try failing("list", prefix) { () throws(FileSystemError) in
            var listing = ObjectListing()
            let directory = path(of: prefix)
            for name in try names(of: directory) {
                switch try files.kind(of: directory.appending(name)) {
                case .file: listing.objects.append(name)
                // A directory without files is nothing, as a prefix without objects.
                case .directory where try !names(of: directory.appending(name)).isEmpty:
                    listing.prefixes.append(name)
                default: continue
                }
            }
            return listing
        }
    }

    /// Lists a directory. One that others have removed, or a file by now, is an empty prefix.
    private func names(of directory: FilePath) throws(FileSystemError) -> [String] {
        do throws(FileSystemError) { return try files.listIfThere(directory) } catch {
            guard error.errno == .notDirectory else { throw error }
            return []
        }
    }

    package func remove(_ key: String) throws(ObjectStoreError) {
        try failing("remove", key) { () throws(FileSystemError) in
            let path = path(of: key)
            do throws(FileSystemError) { try files.remove(path) } catch {
                guard error.errno == .noSuchFileOrDirectory else { throw error }
                return
            }
            try files.syncDirectory(path.removingLastComponent())
        }
    }

    package func settle(_ prefix: String) throws(ObjectStoreError) {
        try failing("sync", prefix) { () throws(FileSystemError) in
            let directory = path(of: prefix)
            guard try files.kind(of: directory) == .directory else { return }
            try files.syncDirectory(directory)
            if prefix.isEmpty { try files.syncName(of: directory) }
        }
    }

    private func path(of key: String) -> FilePath {
        key.isEmpty ? root : root.appending(key)
    }
}

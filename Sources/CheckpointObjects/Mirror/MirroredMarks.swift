internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// The tags and pins of a store, which its mirror has, too.
struct MirroredMarks: Equatable {
    /// Content by key.
    private var marks: [String: [UInt8]] = [:]

    private static let kinds = ["tags", "pins"]

    /// Reads them.
    ///
    /// - Throws: codes `io`, `readOnly`.
    init(of source: CheckpointStore) throws(CheckpointError) {
        for kind in Self.kinds {
            let directory = source.directories.root.appending(kind)
            let names = try translating("listing \(directory)") { () throws(FileSystemError) in
                try source.fileSystem.listIfThere(directory)
            }
            for name in names {
                let path = directory.appending(name)
                let bytes = try translating("reading \(path)") { () throws(FileSystemError) in
                    try source.fileSystem.contents(of: path, atMost: 4096)
                }
                // A larger one is none.
                if let bytes { marks["\(kind)/\(name)"] = bytes }
            }
        }
    }

    /// Makes those of the mirror the same.
    ///
    /// - Parameters:
    ///   - target: the mirror.
    ///   - sender: sends them there.
    /// - Returns: the number of those that were written or removed.
    /// - Throws: codes `io`, `readOnly`, `noSpace`.
    func send(to target: any ObjectStore, by sender: MirrorSender) throws(CheckpointError) -> Int {
        let root = sender.source.directories.root
        let present = try failing(target) { () throws(ObjectStoreError) in
            var present: Set<String> = []
            for kind in Self.kinds {
                let names = try target.list("\(kind)/", limit: nil).objects
                present.formUnion(names.map { "\(kind)/\($0)" })
            }
            return present
        }
        var count = 0
        for (key, bytes) in marks.sorted(by: { $0.key < $1.key }) {
            if present.contains(key), try holds(target, key, bytes) { continue }
            try sender.upload(key, from: root.appending(key))
            count += 1
        }
        for key in present.subtracting(marks.keys) {
            try failing(target) { () throws(ObjectStoreError) in try target.remove(key) }
            count += 1
        }
        return count
    }

    private func holds(
        _ target: any ObjectStore, _ key: String, _ bytes: [UInt8]
    ) throws(CheckpointError) -> Bool {
        try failing(target) { () throws(ObjectStoreError) in
            guard try target.size(of: key) == bytes.count else { return false }
            return try target.bytes(of: key, count: bytes.count) == bytes
        }
    }

    private func failing<R>(
        _ target: any ObjectStore, _ body: () throws(ObjectStoreError) -> R
    ) throws(CheckpointError) -> R {
        do { return try body() } catch { throw CheckpointError(error, in: target.description) }
    }
}

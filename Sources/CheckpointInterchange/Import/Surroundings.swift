internal import CheckpointIO
package import CheckpointStorage
package import SystemPackage

/// The names and small files of a directory that is examined. It is bounded in what it reads, and
/// writes nothing.
package struct Surroundings: Sendable {
    /// Kind of a directory entry.
    package enum Kind: Sendable {
        case file, directory, other
    }

    /// The beginning of a file.
    package struct Beginning: Sendable {
        /// Its first bytes.
        package let bytes: [UInt8]
        /// Size of the whole file.
        package let fileBytes: Int
    }

    /// Maximum number of names examined in one directory.
    package static let namesMax = 20_000
    /// Size of the largest index that is read.
    package static let textBytesMax = 32 << 20
    private static let files = POSIXFileSystem(usesDirectIO: false)

    /// The directory.
    package let path: FilePath
    /// Its names, at most `namesMax`.
    package let names: Set<String>
    /// False if there are more names.
    package let isComplete: Bool

    /// Lists a directory.
    ///
    /// - Parameter path: the directory.
    /// - Throws: codes `notFound`, `io`.
    package init(_ path: FilePath) throws(CheckpointError) {
        self.path = path
        let names = try translating("looking") { () throws(FileSystemError) in
            try Self.files.list(path, atMost: Self.namesMax + 1)
        }
        isComplete = names.count <= Self.namesMax
        self.names = Set(names.prefix(Self.namesMax))
    }

    /// Returns the kind of what a path names.
    ///
    /// - Parameter path: any path. Links are followed.
    /// - Returns: nil if nothing is there.
    /// - Throws: code `io`.
    package static func kind(of path: FilePath) throws(CheckpointError) -> Kind? {
        let kind = try translating("looking") { () throws(FileSystemError) in
            try files.kind(of: path)
        }
        return switch kind {
        case .file: .file
        case .directory: .directory
        case .other: .other
        case nil: nil
        }
    }

    /// Reads the beginning of a file.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - count: number of bytes; fewer are returned if the file has fewer.
    /// - Throws: codes `notFound`, `io`.
    package static func beginning(
        of path: FilePath, _ count: Int
    ) throws(CheckpointError) -> Beginning {
        try translating("looking") { () throws(FileSystemError) in
            let file = try files.open(path)
            let bytes = try file.read(count: min(count, file.size), at: 0)
            return Beginning(bytes: bytes, fileBytes: file.size)
        }
    }

    /// Returns whether the directory has an entry.
    package func has(_ name: String) -> Bool { names.contains(name) }

    /// Returns the names with an ending. Hidden names are skipped, as an import skips them.
    package func names(endingIn suffix: String) -> [String] {
        names.filter { $0.hasSuffix(suffix) && !$0.hasPrefix(".") }.sorted()
    }

    /// Returns the path of an entry. Names are joined as text of one component: no name is ever
    /// split.
    package func place(_ name: String) -> FilePath { path.appending(name) }

    /// Returns whether an entry is a directory. One that cannot be examined is not.
    package func isDirectory(_ name: String) -> Bool {
        // The same as false for the caller.
        (try? Self.kind(of: place(name))) == .directory
    }

    /// Returns a directory in this one; nil if it is not a directory, or cannot be read.
    package func inside(_ name: String) -> Surroundings? {
        // The caller then describes what it can see.
        isDirectory(name) ? try? Surroundings(place(name)) : nil
    }

    /// Returns the content of a small file; nil if it is large, missing, or cannot be read.
    package func text(_ name: String, atMost limit: Int = 4096) -> String? {
        // A file that cannot be read is ignored.
        guard let bytes = try? Self.files.contents(of: place(name), atMost: limit) else {
            return nil
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Returns the size of a file; nil if it cannot be opened.
    package func size(of name: String) -> Int? {
        // The same as a missing file for the caller.
        try? Self.files.open(place(name)).size
    }

    /// Returns the first bytes of a file; nil if it cannot be read.
    package func beginning(of name: String, _ count: Int) -> [UInt8]? {
        // The same as a missing file for the caller.
        try? Self.beginning(of: place(name), count).bytes
    }
}

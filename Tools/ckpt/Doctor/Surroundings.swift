import CheckpointIO
import SystemPackage

/// The names and small files of a directory that the doctor examines. Bounded in what it reads; writes nothing.
struct Surroundings {
    /// Maximum number of names examined in one directory.
    static let namesMax = 20_000
    static let textBytesMax = 32 << 20

    let path: FilePath
    let names: Set<String>
    /// False if there are more names.
    let isComplete: Bool
    private let files: POSIXFileSystem

    init(_ path: FilePath, _ files: POSIXFileSystem) throws(FileSystemError) {
        self.path = path
        self.files = files
        let names = try files.list(path, atMost: Self.namesMax + 1)
        isComplete = names.count <= Self.namesMax
        self.names = Set(names.prefix(Self.namesMax))
    }

    func has(_ name: String) -> Bool { names.contains(name) }
    /// Names with that ending. Hidden names are skipped, as an import skips
    /// them.
    func names(endingIn suffix: String) -> [String] { names.filter { $0.hasSuffix(suffix) && !$0.hasPrefix(".") }.sorted() }

    /// Names are joined as text of one component: no name is ever split.
    func place(_ name: String) -> FilePath { path.appending(name) }

    func isDirectory(_ name: String) -> Bool {
        // A name that cannot be examined is not treated as a directory.
        (try? files.kind(of: place(name))) == .directory
    }

    /// A directory in this one; nil if it is not a directory, or cannot be read.
    func inside(_ name: String) -> Surroundings? {
        isDirectory(name) ? try? Surroundings(place(name), files) : nil  // as said above
    }

    /// The content of a small file; nil if it is large, missing, or cannot be read.
    func text(_ name: String, atMost limit: Int = 4096) -> String? {
        // A file that cannot be read is ignored.
        guard let bytes = try? files.contents(of: place(name), atMost: limit) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    func size(of name: String) -> Int? { try? files.open(place(name)).size }  // nil as above

    func beginning(of name: String, _ count: Int) -> [UInt8]? {
        // As above.
        guard let file = try? files.open(place(name)) else { return nil }
        return try? file.read(count: min(count, file.size), at: 0)
    }
}

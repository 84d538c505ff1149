internal import CheckpointCodecs
package import CheckpointFormat
package import CheckpointIO
package import CheckpointSegments
internal import CheckpointState
internal import SystemPackage

/// Reads the files in `parts/`: what each rank adds to a checkpoint of several ranks
/// (Formats/manifest.md, Checkpoints of several ranks).
///
/// Any thread. Several parts are read on threads that it starts and joins.
package struct PartFiles: Sendable {
    package let fileSystem: any FileSystem
    package let directories: StoreDirectories

    /// A part as its rank has written it.
    package struct Loaded: Sendable {
        package var manifest: Manifest
        package var hash: Hash128
        /// Size of the file.
        package var bytes: Int
    }

    package init(fileSystem: any FileSystem, directories: StoreDirectories) {
        (self.fileSystem, self.directories) = (fileSystem, directories)
    }

    /// The part of a checkpoint that a rank needs.
    package struct Selection: Sendable {
        /// A tensor, by name, and what is needed of it.
        package var tensors: [ByteName: Need] = [:]
        /// Objects, by name.
        package var objects: Set<ByteName> = []
        /// For some of the objects, the one to read if the checkpoint has none of that name.
        package var substitutes: [ByteName: ByteName] = [:]
        /// True if all other objects are needed, too, but those of other ranks.
        package var needsOtherObjects = false

        package enum Need: Sendable {
            case whole
            case pieces([ShardPiece])
        }

        package init() {}

        /// Returns the names of the objects of a checkpoint to read.
        fileprivate func objects(in root: Manifest) -> Set<ByteName> {
            let known = Set(root.objects.map { ByteName($0.name) })
            var needed = Set(objects.map { known.contains($0) ? $0 : substitutes[$0] ?? $0 })
            guard needsOtherObjects else { return needed }
            let all = Dictionary(
                root.objects.map { (ByteName($0.name), $0) },
                uniquingKeysWith: { first, _ in first })
            for (name, object) in all where !RankOwnership.isOfSomeRank(object, among: all) {
                needed.insert(name)
            }
            return needed
        }
    }

    /// Puts the manifest of a checkpoint of several ranks together.
    ///
    /// - Parameters:
    ///   - root: the manifest as its file has it.
    ///   - selection: what is needed; nil means everything. The rest of the tensors then has no
    ///     shards, and the rest of the objects no chunks; their parts are not read.
    /// - Returns: the checkpoint as one manifest.
    /// - Throws: codes `damaged`, `notFound`, `unsupported`, `io`.
    package func assemble(
        _ root: Manifest, _ selection: Selection? = nil
    ) throws(CheckpointError) -> Manifest {
        guard let record = root.root else { return root }
        let attempt = AttemptName(checkpoint: root.name, attempt: root.id)
        let rows =
            if let selection {
                try neededRows(of: root, record, selection)
            } else {
                try allRows(of: root, record)
            }
        var ranks = Set(rows.map(\.rank))
        let objects = selection?.objects(in: root)
        for object in root.objects {
            guard let rank = object.rank, objects?.contains(ByteName(object.name)) ?? true
            else { continue }
            ranks.insert(rank)
        }
        if selection == nil { ranks.formUnion(0..<root.worldSize) }
        var assembly = RootAssembly(root)
        let needed = ranks.sorted()
        for (rank, part) in zip(needed, try load(needed, of: attempt, root.worldSize)) {
            let path = path(of: attempt, rank, root.worldSize)
            guard part.hash == record.parts[rank].hash else {
                throw CheckpointError(
                    .damaged, "\(path) does not match its hash in the manifest",
                    path: path.string)
            }
            try translated(path) { () throws(FormatError) in try assembly.add(part.manifest) }
        }
        do throws(FormatError) {
            let whole = root.tensors.indices.filter { row in
                guard let selection else { return true }
                if case .whole? = selection.tensors[ByteName(root.tensors[row].name)] {
                    return true
                }
                return false
            }
            return try assembly.manifest(rows, whole: whole)
        } catch {
            throw CheckpointError(error, path: directories.path(of: root.name).string)
        }
    }

    private func path(of attempt: AttemptName, _ rank: Int, _ worldSize: Int) -> FilePath {
        directories.path(of: .part(rank: rank, worldSize: worldSize), in: attempt)
    }

    private func translated(
        _ path: FilePath, _ body: () throws(FormatError) -> Void
    ) throws(CheckpointError) {
        do throws(FormatError) { try body() } catch {
            throw CheckpointError(error, path: path.string)
        }
    }

    /// Reads and checks the parts of ranks, many at the same time.
    ///
    /// - Parameters:
    ///   - ranks: the ranks.
    ///   - attempt: the save.
    ///   - worldSize: number of ranks of the save.
    /// - Returns: their parts, in the order of `ranks`.
    /// - Throws: codes `damaged` (also if a file is missing), `unsupported`, `io`.
    package func load(
        _ ranks: [Int], of attempt: AttemptName, _ worldSize: Int
    ) throws(CheckpointError) -> [Loaded] {
        try ParallelMap.run(ranks.count, name: "ckpt-parts") { index throws(CheckpointError) in
            let rank = ranks[index]
            return try load(path(of: attempt, rank, worldSize), rank: rank, worldSize: worldSize)
        }
    }

    /// Reads and checks a part's file.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - rank: the rank that it is of.
    ///   - worldSize: number of ranks.
    /// - Returns: the part, its hash, and the size of its file.
    /// - Throws: codes `damaged` (also if the file is missing), `unsupported`, `io`.
    private func load(
        _ path: FilePath, rank: Int, worldSize: Int
    ) throws(CheckpointError) -> Loaded {
        let bytes: [UInt8]?
        do throws(FileSystemError) {
            bytes = try fileSystem.contents(of: path, atMost: Limits.manifestBytesMax)
        } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw CheckpointError(error) }
            throw CheckpointError(
                .damaged, "the part of rank \(rank) is missing: \(path)", path: path.string)
        }
        guard let bytes else {
            throw CheckpointError(
                .damaged, "\(path) is larger than any part", path: path.string, offset: 0)
        }
        do throws(FormatError) {
            let part = try Manifest(decoding: bytes[...], digest: Hashing.digest)
            guard part.kind == .part, part.rank == rank, part.worldSize == worldSize else {
                throw FormatError.damage(
                    at: ManifestHeader.bytes,
                    "it contains the part of rank \(part.rank) of \(part.worldSize)")
            }
            return Loaded(
                manifest: part, hash: Manifest.hash(ofEncoded: bytes), bytes: bytes.count)
        } catch { throw CheckpointError(error, path: path.string) }
    }

    // MARK: The index

    private func allRows(
        of root: Manifest, _ record: RootRecord
    ) throws(CheckpointError) -> [PartIndexRow] {
        try withIndex(of: root, record) { reader throws(CheckpointError) in
            var rows: [PartIndexRow] = []
            for page in record.index.pages.indices { rows += try reader.rows(page) }
            return rows
        }
    }

    /// Returns the rows of shards that hold a needed element.
    private func neededRows(
        of root: Manifest, _ record: RootRecord, _ selection: Selection
    ) throws(CheckpointError) -> [PartIndexRow] {
        try withIndex(of: root, record) { reader throws(CheckpointError) in
            var found: Set<PartIndexRow> = []
            for (number, tensor) in root.tensors.enumerated() {
                guard let need = selection.tensors[ByteName(tensor.name)] else { continue }
                for range in need.ranges {
                    for page in record.index.pages(of: number, in: range) {
                        for row in try reader.rows(page)
                        where row.tensor == number && row.first <= range.upperBound
                            && row.last >= range.lowerBound
                        {
                            found.insert(row)
                        }
                    }
                }
            }
            return found.sorted()
        }
    }

    /// Reads pages of one index file, each once.
    private final class IndexReader {
        let root: Manifest
        let index: PartIndex
        let file: (any ReadableFile)?
        let path: FilePath
        private var known: [Int: [PartIndexRow]] = [:]

        init(_ root: Manifest, _ index: PartIndex, _ file: (any ReadableFile)?, _ path: FilePath) {
            (self.root, self.index, self.file, self.path) = (root, index, file, path)
        }

        func rows(_ page: Int) throws(CheckpointError) -> [PartIndexRow] {
            if let rows = known[page] { return rows }
            guard let file else { return [] }
            let range = index.range(ofPage: page)
            let bytes: [UInt8]
            do { bytes = try file.read(count: range.count, at: range.lowerBound) } catch {
                throw CheckpointError(error)
            }
            do throws(FormatError) {
                let rows = try index.rows(
                    decoding: bytes[...], page: page, worldSize: root.worldSize,
                    tensors: root.tensors.count, digest: Hashing.digest)
                known[page] = rows
                return rows
            } catch { throw CheckpointError(error, path: path.string) }
        }
    }

    private func withIndex<R>(
        of root: Manifest, _ record: RootRecord,
        _ body: (IndexReader) throws(CheckpointError) -> R
    ) throws(CheckpointError) -> R {
        let attempt = AttemptName(checkpoint: root.name, attempt: root.id)
        let path = directories.path(of: .index(record.index.hash), in: attempt)
        guard record.index.rowCount > 0 else {
            return try body(IndexReader(root, record.index, nil, path))
        }
        let file: any ReadableFile
        do throws(FileSystemError) { file = try fileSystem.open(path) } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw CheckpointError(error) }
            throw CheckpointError(
                .damaged, "the index of the checkpoint's shards is missing: \(path)",
                path: path.string)
        }
        guard file.size == record.index.bytes else {
            throw CheckpointError(
                .damaged, "\(path) has \(file.size) bytes, not \(record.index.bytes)",
                path: path.string, offset: min(file.size, record.index.bytes))
        }
        return try body(IndexReader(root, record.index, file, path))
    }
}

extension PartFiles.Selection.Need {
    /// First and last position of each part that is needed.
    fileprivate var ranges: [ClosedRange<Int>] {
        switch self {
        case .whole: [0...Int.max]
        case .pieces(let pieces): pieces.map { $0.offset...$0.offset + $0.elements.reach }
        }
    }
}

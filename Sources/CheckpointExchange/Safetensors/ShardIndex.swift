internal import CheckpointFormat
internal import CheckpointIO
internal import SystemPackage

/// An index of shards: `{"metadata": {...}, "weight_map": {"name": "file"}}`, as the transformers
/// library writes it in the directory of safetensors and PyTorch files.
struct ShardIndex {
    static func isIndex(_ path: FilePath) -> Bool { path.extension == "json" }

    /// File of each tensor, in the order of the index.
    let files: [(tensor: String, file: String)]
    /// Members of the index's `metadata`, without the total size.
    private let metadata: [JSONValue.Member]
    /// True if the index lists no tensors and declares 0 bytes, as the export of a checkpoint
    /// without tensors does.
    private let isEmpty: Bool

    init(_ file: ForeignFile) throws(ExchangeError) {
        let path = file.path.string
        guard file.size <= ExchangeLimits.indexBytesMax else {
            throw .refused(
                path, "the index has \(file.size) bytes, more than \(ExchangeLimits.indexBytesMax)")
        }
        let text = try file.read(count: file.size, at: 0)
        var files: [(String, String)] = []
        do throws(FormatError) {
            try checkValues(text, at: 0)
            let index = try JSONFields(JSONParser.parse(text[...]), "the index", offset: 0)
            let map = try index.value("weight_map")
            let metadata = index.has("metadata") ? try index.value("metadata") : .null
            isEmpty = map == .object([]) && Self.saysNoBytes(metadata)
            if case .object(let members) = metadata {
                self.metadata = members.filter { $0.key != "total_size" }
            } else {
                self.metadata = []
            }
            guard case .object(let members) = map else {
                throw .damage(at: 0, "weight_map is not an object")
            }
            for member in members {
                guard case .string(let name) = member.value else {
                    throw .damage(at: 0, "weight_map has a value that is not a file name")
                }
                files.append((member.key, name))
            }
        } catch {
            throw error.kind == .unsupported
                ? .refused(path, error.message) : ExchangeError(error, path)
        }
        self.files = files
        try checkNames(path)
    }

    private static func saysNoBytes(_ metadata: JSONValue) -> Bool {
        guard case .object(let members) = metadata else { return false }
        return members.contains { $0.key == "total_size" && $0.value == .count(0) }
    }

    private func checkNames(_ path: String) throws(ExchangeError) {
        for (_, name) in files where !isPlainFileName(name) {
            throw .refused(path, "shard \(quoted(name)) is not in the directory of the index")
        }
        if let index = fileNames.first(where: { Self.isIndex(FilePath($0)) }) {
            throw .damage(
                path, "shard \(quoted(index)) has the name of an index, not of a file of tensors")
        }
        guard fileNames.count <= ExchangeLimits.filesMax else {
            throw .refused(
                path,
                "the index names \(fileNames.count) shards, "
                    + "more than \(ExchangeLimits.filesMax)")
        }
    }

    /// File names without duplicates.
    var fileNames: [String] { Set(files.map { ByteName($0.file) }).sorted().map(\.description) }

    /// Reads the shards, and compares their tensors with the index.
    ///
    /// - Parameters:
    ///   - path: the index.
    ///   - readShard: reads one shard.
    /// - Returns: the tensors and objects of all shards.
    /// - Throws: `ExchangeError` if a shard is missing or does not match the index.
    func read(
        _ path: FilePath, _ readShard: (FilePath) throws(ExchangeError) -> ForeignCheckpoint
    ) throws(ExchangeError) -> ForeignCheckpoint {
        var whole: ForeignCheckpoint?
        var place: [ByteName: ByteName] = [:]
        for (tensor, file) in files { place[ByteName(tensor)] = ByteName(file) }
        for name in fileNames {
            let shard = try shard(name, of: path, readShard)
            for tensor in shard.tensors {
                guard place.removeValue(forKey: ByteName(tensor.name)) == ByteName(name) else {
                    throw .damage(
                        path.string,
                        "\(quoted(name)) contains tensor \(quoted(tensor.name)), "
                            + "but the index does not list it there",
                        remedy: "Use the index and the shards of the same save, "
                            + "or import the shards by name, without the index"
                    )
                }
            }
            if whole == nil { whole = shard } else { whole?.add(shard) }
        }
        if let missing = files.first(where: { place[ByteName($0.tensor)] != nil }) {
            throw .damage(
                path.string, "tensor \(quoted(missing.tensor)) is not in \(quoted(missing.file))",
                remedy: "Use the index and the shards of the same save, "
                    + "or import the shards by name, without the index"
            )
        }
        if isEmpty { return ForeignCheckpoint(.safetensors) }
        guard var whole else { throw .damage(path.string, "the index names no tensors") }
        if !metadata.isEmpty {
            whole.add(ForeignObject(SafetensorsReader.indexMetadataName, .object(metadata)))
        }
        return whole
    }

    private func shard(
        _ name: String, of index: FilePath,
        _ read: (FilePath) throws(ExchangeError) -> ForeignCheckpoint
    ) throws(ExchangeError) -> ForeignCheckpoint {
        do throws(ExchangeError) {
            return try read(index.removingLastComponent().appending(name))
        } catch {
            guard error.isMissingFile else { throw error }
            throw .damage(
                index.string, "shard \(quoted(name)) is missing, or is not a file",
                remedy:
                    "Copy or download the missing shards, or import the existing files by name"
            )
        }
    }
}

/// Returns whether a name from a file can only refer to a file directly in the directory that is
/// searched.
///
/// - Parameter name: untrusted name.
/// - Returns: true if it is 1 to 255 bytes long, is not "." or "..", and has no slash or NUL.
func isPlainFileName(_ name: String) -> Bool {
    (1...255).contains(name.utf8.count) && name != "." && name != ".."
        && !name.utf8.contains { $0 == 0 || $0 == UInt8(ascii: "/") }
}

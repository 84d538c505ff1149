package import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// Reader of foreign files and directories. It detects the format and reads everything except the
/// tensors' bytes, which stay in the file.
package struct ForeignReader {
    private let files: any FileSystem
    private let opened: OpenFiles
    private let spill: Spill

    /// Creates a reader.
    ///
    /// - Parameters:
    ///   - files: the file system.
    ///   - spillDirectory: directory for the unnamed file that compressed tensors are inflated
    ///     into.
    package init(_ files: any FileSystem, spillDirectory: FilePath) {
        self.files = files
        opened = OpenFiles(files)
        spill = Spill(in: spillDirectory, files)
    }

    /// Contents of a file that holds only elements.
    package struct Raw: Sendable {
        package var name: String
        package var type: ElementType
        package var shape: [Int]

        /// Describes the elements.
        ///
        /// - Parameters:
        ///   - name: name for the tensor.
        ///   - type: type of the elements.
        ///   - shape: extents in elements, slowest dimension first.
        package init(name: String, type: ElementType, shape: [Int]) {
            self.name = name
            self.type = type
            self.shape = shape
        }
    }

    /// Reads a file or directory, except for the tensors' bytes.
    ///
    /// - Parameters:
    ///   - path: the file or directory.
    ///   - format: the expected format; nil detects it from the content.
    /// - Returns: the tensors and objects, with names checked.
    /// - Throws: `ExchangeError` if the file is missing, damaged, not supported, or of another
    ///   format.
    package func read(_ path: FilePath, as format: ForeignFormat? = nil) throws(ExchangeError) -> ForeignCheckpoint {
        let kind = try kind(of: path)
        let checkpoint = kind == .directory ? try readDirectory(path, format) : try readFile(path, format)
        if let format, checkpoint.format != format {
            throw .refused(path.string, "it is \(checkpoint.format.rawValue), not \(format.rawValue)")
        }
        try checkpoint.checkNames(path.string)
        return checkpoint
    }

    private func kind(of path: FilePath) throws(ExchangeError) -> FileKind {
        if let kind = try exchanging({ () throws(FileSystemError) in try files.kind(of: path) }) { return kind }
        var error = ExchangeError(FileSystemError("stat(2)", path, .noSuchFileOrDirectory))
        error.message = "\(path): there is no such file or directory"
        throw error
    }

    /// Reads a file that holds one tensor's row-major, little-endian bytes.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - raw: name, type and shape of the tensor.
    /// - Returns: a checkpoint of one tensor.
    /// - Throws: `ExchangeError` if the size of the file does not match the shape.
    package func readRaw(_ path: FilePath, _ raw: Raw) throws(ExchangeError) -> ForeignCheckpoint {
        let file = try ForeignFile(path, in: opened)
        guard let bytes = TensorShape.byteCount(raw.shape, raw.type), bytes == file.size else {
            throw .damage(path.string, "it has \(file.size) bytes, which is not the size of \(shown(raw.shape)) of \(raw.type)")
        }
        var checkpoint = ForeignCheckpoint(.raw)
        checkpoint.tensors = [try ForeignTensor(raw.name, raw.type, raw.shape, in: file.lend(0..<file.size))]
        return checkpoint
    }

    private func readFile(_ path: FilePath, _ format: ForeignFormat?) throws(ExchangeError) -> ForeignCheckpoint {
        let file = try ForeignFile(path, in: opened)
        return ShardIndex.isIndex(path) ? try readIndex(file, format) : try readTensors(file, format)
    }

    private func readTensors(_ file: ForeignFile, _ format: ForeignFormat?) throws(ExchangeError) -> ForeignCheckpoint {
        let path = file.path
        let magic = try file.read(count: min(file.size, 9), at: 0)
        if magic.starts(with: NumpyHeader.magic) { return try NumpyReader.read(file) }
        if magic.starts(with: [0x50, 0x4B, 3, 4]) { return try readArchive(ZipArchive(file, 0..<file.size)) }
        let isNamedSo = format == .safetensors || path.extension == "safetensors"
        if isNamedSo || magic.count == 9 && magic[8] == UInt8(ascii: "{") { return try SafetensorsReader.read(file) }
        throw unknown(path, magic)
    }

    private func unknown(_ path: FilePath, _ magic: [UInt8]) -> ExchangeError {
        // A pickle of protocol 2 or later, without an archive around it.
        if magic.first == 0x80 {
            return .refused(
                path.string, "it is a bare pickle, as torch.save wrote before PyTorch 1.6", remedy: "Save it again with torch.save")
        }
        return .refused(path.string, "its content is of no format that is known here", remedy: "Give --format raw for plain elements")
    }

    private func readArchive(_ archive: ZipArchive) throws(ExchangeError) -> ForeignCheckpoint {
        TorchArchive.isArchive(archive) ? try TorchReader.read(archive, spill) : try NumpyReader.readArchive(archive, spill)
    }

    private func readIndex(_ index: ForeignFile, _ format: ForeignFormat?) throws(ExchangeError) -> ForeignCheckpoint {
        try ShardIndex(index).read(index.path) { path throws(ExchangeError) in
            try readTensors(ForeignFile(path, in: opened), format)
        }
    }

    private func readDirectory(_ path: FilePath, _ format: ForeignFormat?) throws(ExchangeError) -> ForeignCheckpoint {
        let names = try exchanging { () throws(FileSystemError) in try files.list(path) }.sorted()
        if names.contains(DistributedReader.metadataName) { return try DistributedReader.read(path, opened, spill) }
        let indices = names.filter { $0.hasSuffix(".index.json") }
        if indices.count > 1 {
            let remedy = "Name one of \(indices.joined(separator: ", "))"
            throw .refused(path.string, "it has \(indices.count) indices of shards", remedy: remedy)
        }
        if let index = indices.first { return try readFile(path.appending(index), format) }
        let shards = names.filter { $0.hasSuffix(".safetensors") }
        guard let first = shards.first, shards.count <= ExchangeLimits.filesMax else {
            throw .refused(path.string, "it has neither .metadata, nor an index of shards, nor safetensors files")
        }
        var checkpoint = try readFile(path.appending(first), format)
        for shard in shards.dropFirst() { checkpoint.add(try readFile(path.appending(shard), format)) }
        return checkpoint
    }
}

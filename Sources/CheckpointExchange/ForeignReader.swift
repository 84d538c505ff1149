package import CheckpointFormat
package import CheckpointIO
package import SystemPackage

/// Reader of foreign files and directories. It detects the format and reads everything except the
/// tensors' bytes, which stay in the file.
package struct ForeignReader {
    private let files: any FileSystem
    private let opened: OpenFiles
    private let spill: Spill
    private let options: ReadingOptions

    /// Creates a reader.
    ///
    /// - Parameters:
    ///   - files: the file system.
    ///   - spillDirectory: directory for the unnamed file that compressed tensors are inflated
    ///     into; nil if nothing may be written.
    ///   - options: how files are read.
    package init(
        _ files: any FileSystem, spillDirectory: FilePath?,
        options: ReadingOptions = ReadingOptions()
    ) {
        self.files = files
        self.options = options
        opened = OpenFiles(files)
        spill = Spill(in: spillDirectory, files)
    }

    /// The files that were read so far, with their sizes, in that order.
    package var known: [(path: FilePath, size: Int)] { opened.known }

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
    package func read(_ path: FilePath, as format: ForeignFormat? = nil) throws(ExchangeError)
        -> ForeignCheckpoint
    {
        let kind = try kind(of: path)
        let checkpoint =
            kind == .directory ? try readDirectory(path, format) : try readFile(path, format)
        if let format, checkpoint.format != format {
            throw .refused(
                path.string, "it is \(checkpoint.format.rawValue), not \(format.rawValue)")
        }
        try checkpoint.checkNames(path.string)
        return checkpoint
    }

    private func kind(of path: FilePath) throws(ExchangeError) -> FileKind {
        if let kind = try exchanging({ () throws(FileSystemError) in try files.kind(of: path) }) {
            return kind
        }
        var error = ExchangeError(FileSystemError("stat(2)", path, .noSuchFileOrDirectory))
        error.message = "\(path) does not exist"
        error.remedy = "Check the path of the file"
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
        let needed = TensorShape.byteCount(raw.shape, raw.type)
        guard let bytes = needed, bytes == file.size else {
            throw .damage(
                path.string,
                "it has \(file.size) bytes; \(raw.type) \(shown(raw.shape)) needs "
                    + (needed.map(String.init) ?? "more than memory can address")
            )
        }
        var checkpoint = ForeignCheckpoint(.raw)
        checkpoint.tensors = [
            try ForeignTensor(raw.name, raw.type, raw.shape, in: file.lend(0..<file.size))
        ]
        return checkpoint
    }

    private func readFile(_ path: FilePath, _ format: ForeignFormat?) throws(ExchangeError)
        -> ForeignCheckpoint
    {
        let file = try ForeignFile(path, in: opened)
        return ShardIndex.isIndex(path)
            ? try readIndex(file, format) : try readTensors(file, format)
    }

    private func readTensors(_ file: ForeignFile, _ format: ForeignFormat?) throws(ExchangeError)
        -> ForeignCheckpoint
    {
        let path = file.path
        let beginning = try file.read(count: min(file.size, KnownFile.beginningBytes), at: 0)
        if beginning.starts(with: NumpyHeader.magic) {
            return try NumpyReader(options: options).read(file)
        }
        if beginning.starts(with: [0x50, 0x4B, 3, 4]) || beginning.starts(with: [0x50, 0x4B, 5, 6])
        {
            return try readArchive(ZipArchive(file, 0..<file.size))
        }
        // An empty file without an extension may be anything.
        let isNothing = beginning.isEmpty && path.extension == nil
        if !isNothing, let known = KnownFile.recognise(beginning) {
            let message = "it is \(known.what)"
            throw known.isStandIn
                ? .damage(path.string, message, remedy: known.remedy)
                : .refused(path.string, message, remedy: known.remedy)
        }
        if TorchLegacyFile.isLegacy(beginning) {
            return try TorchReader.read(
                TorchArchive(TorchLegacyFile(file), file, spill), file, options)
        }
        if let text = KnownFile.text(beginning) {
            throw .damage(
                path.string, "it is a text that begins with \(quoted(text)), not weights",
                remedy: "Copy or download the file again. "
                    + "If the text is an error message of a server, correct that error first")
        }
        let isNamedSo = format == .safetensors || path.extension == "safetensors"
        if isNamedSo || beginning.count >= 9 && beginning[8] == UInt8(ascii: "{") {
            return try SafetensorsReader.read(file)
        }
        throw unknown(path, beginning)
    }

    private func unknown(_ path: FilePath, _ beginning: [UInt8]) -> ExchangeError {
        // A pickle of protocol 2 or later, without an archive around it.
        if beginning.first == 0x80 {
            return .refused(
                path.string, "it is a bare pickle, not a file of torch.save",
                remedy:
                    "Load it only if you trust it, save its tensors with torch.save, and import that file"
            )
        }
        return .refused(
            path.string, "unrecognized file format",
            remedy: "If it contains raw elements, give --format raw")
    }

    private func readArchive(_ archive: ZipArchive) throws(ExchangeError) -> ForeignCheckpoint {
        guard TorchArchive.isArchive(archive) else {
            return try NumpyReader(options: options).readArchive(archive, spill)
        }
        return try TorchReader.read(TorchArchive(archive, spill), archive.file, options)
    }

    private func readIndex(_ index: ForeignFile, _ format: ForeignFormat?) throws(ExchangeError)
        -> ForeignCheckpoint
    {
        let listed = try ShardIndex(index)
        var checkpoint = try listed.read(index.path) { path throws(ExchangeError) in
            try readTensors(ForeignFile(path, in: opened), format)
        }
        checkpoint.leftOut += try unlisted(listed, beside: index.path)
        return checkpoint
    }

    /// Returns the files of weights in the directory of an index that the index does not list.
    private func unlisted(
        _ index: ShardIndex, beside path: FilePath
    ) throws(ExchangeError) -> [LeftOut] {
        let directory = path.removingLastComponent()
        let place = directory.isEmpty ? FilePath(".") : directory
        let all = try exchanging { () throws(FileSystemError) in try files.list(place) }.sorted()
        let (name, listed) = (path.lastComponent?.string ?? "", index.fileNames)
        let weights = ForeignDirectory(place, all).weights(like: name)
        return weights.filter { !listed.contains($0) }.map {
            LeftOut(
                name: $0, what: "a file that \(name) does not list", file: place.appending($0))
        }
    }

    private func readDirectory(_ path: FilePath, _ format: ForeignFormat?) throws(ExchangeError)
        -> ForeignCheckpoint
    {
        let all = try exchanging { () throws(FileSystemError) in try files.list(path) }.sorted()
        if all.contains(DistributedReader.metadataName) {
            return try DistributedReader.read(path, opened, spill, options)
        }
        let directory = ForeignDirectory(path, all)
        var checkpoint: ForeignCheckpoint
        if let index = try directory.index() {
            checkpoint = try readIndex(ForeignFile(path.appending(index), in: opened), format)
        } else {
            let names = try directory.files()
            var parts: [(path: String, checkpoint: ForeignCheckpoint)] = []
            for name in names {
                parts.append(
                    (path.appending(name).string, try readFile(path.appending(name), format)))
            }
            try ForeignCheckpoint.checkNames(parts)
            checkpoint = parts[0].checkpoint
            for part in parts.dropFirst() { checkpoint.add(part.checkpoint) }
        }
        if let first = directory.hidden.first {
            let count = directory.hidden.count
            let files = count == 1 ? "1 hidden file is" : "\(count) hidden files are"
            checkpoint.notes.append("\(path): \(files) not imported, such as \(quoted(first))")
        }
        return checkpoint
    }
}

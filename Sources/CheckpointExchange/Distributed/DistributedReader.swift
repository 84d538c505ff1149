internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointState
internal import SystemPackage

/// Reader of a directory of torch.distributed.checkpoint: `.metadata`, and files that store every
/// piece of a tensor as an archive of `torch.save`.
struct DistributedReader {
    static let metadataName = ".metadata"

    private let directory: FilePath
    private let files: OpenFiles
    private let spill: Spill
    private let options: ReadingOptions
    /// Open files, by name.
    private var opened: [ByteName: ForeignFile] = [:]

    /// Reads a directory, except for the tensors' bytes.
    ///
    /// - Parameters:
    ///   - directory: the directory that contains `.metadata`.
    ///   - files: opens the files.
    ///   - spill: file for compressed tensors.
    ///   - options: how values are read.
    /// - Returns: the tensors, and one object that holds all other values.
    /// - Throws: `ExchangeError` if a file is missing, damaged or not supported.
    static func read(
        _ directory: FilePath, _ files: OpenFiles, _ spill: Spill, _ options: ReadingOptions
    ) throws(ExchangeError) -> ForeignCheckpoint {
        var reader = DistributedReader(
            directory: directory, files: files, spill: spill, options: options)
        return try reader.read()
    }

    private init(directory: FilePath, files: OpenFiles, spill: Spill, options: ReadingOptions) {
        self.directory = directory
        self.files = files
        self.spill = spill
        self.options = options
    }

    private mutating func read() throws(ExchangeError) -> ForeignCheckpoint {
        let file = try ForeignFile(directory.appending(Self.metadataName), in: files)
        guard file.size <= ExchangeLimits.pickleBytesMax else {
            throw .refused(file.path.string, Pickle.tooLong(file.size))
        }
        let metadata = try DistributedMetadata(
            Unpickler.read(file.read(count: file.size, at: 0), file.path.string))
        try checkExpansion(metadata)
        var checkpoint = ForeignCheckpoint(.dcp)
        var scattered: [Assembly.Tensor] = []
        for tensor in metadata.tensors {
            if tensor.pieces.count == 1 {
                checkpoint.tensors.append(try self.tensor(tensor, tensor.pieces[0]))
            } else {
                scattered.append(try gathered(tensor))
            }
        }
        checkpoint.tensors += try Assembly(scattered).lend(directory.string)
        try readValues(metadata, &checkpoint)
        try checkpoint.checkExpansion(opened.values.reduce(0) { $0 + $1.size }, directory.string)
        return checkpoint
    }

    /// Checks the total size of the tensors before anything is inflated.
    private mutating func checkExpansion(_ metadata: DistributedMetadata) throws(ExchangeError) {
        for tensor in metadata.tensors {
            for piece in tensor.pieces { _ = try open(piece.place.fileName) }
        }
        let bytes = metadata.tensors.map { TensorShape.byteCount($0.shape, $0.type) ?? 0 }
        try ForeignCheckpoint.checkExpansion(
            bytes, opened.values.reduce(0) { $0 + $1.size }, directory.string)
    }

    private mutating func open(_ name: String) throws(ExchangeError) -> ForeignFile {
        if let file = opened[ByteName(name)] { return file }
        let file: ForeignFile
        do throws(ExchangeError) {
            file = try ForeignFile(directory.appending(name), in: files)
        } catch {
            let metadata = directory.appending(Self.metadataName).string
            throw error.isMissingFile
                ? .damage(
                    metadata, "\(quoted(name)) is missing, or is not a file",
                    remedy: "Copy or download the missing files") : error
        }
        opened[ByteName(name)] = file
        return file
    }

    private mutating func archive(_ place: DistributedMetadata.Place) throws(ExchangeError)
        -> TorchArchive
    {
        let file = try open(place.fileName)
        guard place.range.upperBound <= file.size else {
            throw .damage(
                file.path.string,
                "a piece ends at byte \(place.range.upperBound); the file has \(file.size) bytes"
            )
        }
        return try TorchArchive(ZipArchive(file, place.range), spill)
    }

    /// Reads the tensor of a piece, and compares its type and shape with `.metadata`.
    private mutating func tensor(
        _ tensor: DistributedMetadata.Tensor, _ piece: DistributedMetadata.Piece
    ) throws(ExchangeError) -> ForeignTensor {
        let archive = try archive(piece.place)
        let path = directory.appending(piece.place.fileName).string
        guard archive.isTensor(archive.pickle.root) else {
            throw .damage(path, "a piece of tensor \(quoted(tensor.name)) is not a tensor")
        }
        let found = try archive.tensor(tensor.name, archive.pickle.root)
        guard found.view.type == tensor.type, found.view.shape == piece.shard.extent else {
            throw .damage(
                path,
                "a piece of tensor \(quoted(tensor.name)) is \(found.view.type) \(shown(found.view.shape)), "
                    + "not \(tensor.type) \(shown(piece.shard.extent))")
        }
        return found
    }

    private mutating func gathered(_ tensor: DistributedMetadata.Tensor) throws(ExchangeError)
        -> Assembly.Tensor
    {
        var pieces: [Assembly.Piece] = []
        for piece in tensor.pieces where !piece.shard.extent.contains(0) {
            pieces.append(
                Assembly.Piece(shard: piece.shard, view: try self.tensor(tensor, piece).view))
        }
        return Assembly.Tensor(
            name: tensor.name, type: tensor.type, shape: tensor.shape, pieces: pieces)
    }

    /// Reads all values into one object, by name.
    private mutating func readValues(
        _ metadata: DistributedMetadata, _ checkpoint: inout ForeignCheckpoint
    ) throws(ExchangeError) {
        var (members, attributes) = ([JSONValue.Member](), [JSONValue.Member]())
        var amount = TorchState.Amount()
        for (name, place) in metadata.values {
            var state = TorchState(
                try archive(place), under: [name], after: amount, skipsObjects: options.skipsObjects
            )
            defer { amount = state.amount }
            if let value = try state.readRoot() { members.append(.init(name, value)) }
            checkpoint.tensors += state.tensors
            checkpoint.leftOut += state.leftOut
            attributes += state.attributes
        }
        if !members.isEmpty {
            checkpoint.objects.append(ForeignObject(TorchReader.extraName, .object(members)))
        }
        if !attributes.isEmpty {
            checkpoint.objects.append(
                ForeignObject(TorchReader.attributesName, .object(attributes)))
        }
    }
}

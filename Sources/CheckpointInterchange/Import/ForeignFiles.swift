internal import CheckpointExchange
internal import CheckpointIO
public import CheckpointState
public import CheckpointStorage
internal import Foundation
internal import SystemPackage

/// Files of other programs, opened and checked, ready to be imported.
///
/// Everything except the tensors' bytes has been read. The files stay open.
public struct ForeignFiles: Sendable {
    let checkpoint: ForeignCheckpoint
    /// Name of the first file without its extension, as the name of a run.
    let name: String
    /// The files, by their absolute paths.
    let paths: [FilePath]
    /// Size of all files.
    let fileBytes: Int

    /// Opens files, whose tensors together make one checkpoint.
    ///
    /// Pickles are read as data, and no code in them is ever called. A file with calls is refused,
    /// unless the options leave such entries out.
    ///
    /// - Parameters:
    ///   - files: paths of files and directories.
    ///   - options: their format, and what is left out.
    ///   - spillDirectory: a directory with space for unpacked entries.
    /// - Throws: codes `misuse` (no file, or several for a raw tensor), `notFound`, `damaged`,
    ///   `unsupported`, `io`.
    public init(
        _ files: [String], options: ImportOptions = ImportOptions(), spillDirectory: String
    ) throws(CheckpointError) {
        name = Self.name(of: files.first)
        let format = options.format
        var reading = ReadingOptions()
        reading.skipsObjects = options.skipsObjects
        reading.voidType = options.numpyElementType
        let reader = ForeignReader(
            POSIXFileSystem(usesDirectIO: false), spillDirectory: FilePath(spillDirectory),
            options: reading)
        var checkpoint = try exchanging("importing") {
            if case .raw(let name, let type, let shape) = format {
                guard files.count == 1 else {
                    throw CheckpointError(
                        .misuse, "the raw format takes exactly one file (got \(files.count))")
                }
                let raw = ForeignReader.Raw(name: name, type: type, shape: shape)
                return try reader.readRaw(FilePath(files[0]), raw)
            }
            guard !files.isEmpty else { throw CheckpointError(.misuse, "no file to import") }
            let parts = try files.map { try reader.read(FilePath($0), as: format.foreign) }
            return try ForeignCheckpoint(joining: parts, of: files)
        }
        let here = FilePath(FileManager.default.currentDirectoryPath)
        func absolute(_ path: FilePath) -> FilePath { here.pushing(path).lexicallyNormalized() }
        let paths = reader.known.map { absolute($0.path) }
        // A file that an index does not list may have been named as well.
        checkpoint.strikeLeftOut { paths.contains(absolute($0)) }
        checkpoint.recordLeftOut()
        self.paths = paths
        fileBytes = reader.known.reduce(0) { $0 + $1.size }
        self.checkpoint = checkpoint
    }

    private static func name(of file: String?) -> String {
        let last = file.flatMap { FilePath($0).lexicallyNormalized().lastComponent }
        let name = last?.string ?? ""
        // `model.safetensors.index.json` is the index of `model`.
        let stem =
            ForeignDirectory.isIndex(name)
            ? name.split(separator: ".").first.map(String.init) ?? "" : last?.stem ?? ""
        let isPrintable = stem.unicodeScalars.allSatisfy {
            $0.properties.generalCategory != .control
        }
        return (1...256).contains(stem.utf8.count) && isPrintable && !stem.allSatisfy { $0 == "." }
            ? stem : "import"
    }

    /// Name of the files' format: `safetensors`, `npy`, `npz`, `pt`, `dcp` or `raw`.
    public var format: String { checkpoint.format.rawValue }
    /// Reads the files completely, for what the checkpoint records of them.
    ///
    /// - Parameters:
    ///   - cancellation: asked before each read.
    ///   - onRead: called with the bytes read since the last call.
    /// - Throws: codes `io`, `notFound` (a file is gone), `cancelled`.
    func source(
        _ cancellation: Cancellation, onRead: (Int) -> Void
    ) throws(CheckpointError) -> ImportSource {
        try ImportSource(format, paths, cancellation, onRead: onRead)
    }

    /// Returns the content, with an object that records the files.
    func checkpoint(from source: ImportSource) -> ForeignCheckpoint {
        var checkpoint = checkpoint
        checkpoint.record(source.json, as: ImportSource.objectName)
        return checkpoint
    }

    /// The tensors, without roles and without the values beside them: to compare them with a
    /// checkpoint's.
    public var tensors: any StateProvider {
        CompositeState(children: checkpoint.tensors.map { TensorState($0.name, $0.view) })
    }

    /// The step that the files name: an entry `step`, `global_step` or `iteration`, or the
    /// `__metadata__` of an export; nil if they name none.
    public var step: Int? { checkpoint.step }

    /// Bytes of all tensors.
    public var tensorBytes: Int { checkpoint.bytes }
    /// Parts of the files that are not imported.
    public var leftOut: [ImportReport.LeftOut] {
        checkpoint.leftOut.map { .init(name: $0.name, what: $0.what) }
    }
    /// Assumptions of the reader, and files that it skipped, as sentences.
    public var notes: [String] { checkpoint.notes }
}

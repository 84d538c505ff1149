internal import CheckpointExchange
package import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import SystemPackage

/// The files that an import has read, as its checkpoint records them in the object
/// `import_source` (Formats/exchange.md, Source).
public struct ImportSource: Sendable, Equatable {
    /// A file.
    public struct File: Sendable, Equatable {
        /// Its absolute path at that time.
        public let path: String
        /// Its size.
        public let byteCount: Int
        /// XXH3-128 of its bytes, in hexadecimal: what `xxhsum -H2` prints.
        public let digest: String
    }

    /// Name of the object.
    static let objectName = "import_source"

    /// Name of the files' format: `safetensors`, `npy`, `npz`, `pt`, `dcp` or `raw`.
    public let format: String
    /// The files, in the order in which they were read.
    public let files: [File]

    /// Returns true if the files' bytes are the same, regardless of their paths.
    func isSame(as other: ImportSource) -> Bool {
        format == other.format && Set(files.map(\.digest)) == Set(other.files.map(\.digest))
    }

    /// Reads files completely.
    ///
    /// - Parameters:
    ///   - format: name of their format.
    ///   - paths: the files.
    ///   - cancellation: asked before each read.
    ///   - onRead: called with the bytes read since the last call.
    /// - Throws: codes `io`, `notFound` (a file is gone), `cancelled`.
    init(
        _ format: String, _ paths: [FilePath], _ cancellation: Cancellation, onRead: (Int) -> Void
    ) throws(CheckpointError) {
        self.format = format
        let system = POSIXFileSystem(usesDirectIO: false)
        files = try paths.map { path throws(CheckpointError) in
            try translating("reading \(path)") {
                let file = try system.open(path)
                let digest = try FileHash.of(file) { bytes in
                    try cancellation.check("the import")
                    onRead(bytes)
                }
                return File(
                    path: path.string, byteCount: file.size, digest: digest.description)
            }
        }
    }

    /// The object of the checkpoint, as `ckpt import --json` prints it too.
    package var json: JSONValue {
        .object([
            .init("format", .string(format)),
            .init(
                "files",
                .array(
                    files.map { file in
                        .object([
                            .init("path", .string(file.path)),
                            .init("bytes", .count(file.byteCount)),
                            .init("xxh3_128", .string(file.digest)),
                        ])
                    })),
        ])
    }

    /// Decodes the object of a checkpoint.
    ///
    /// - Throws: `FormatError` if it is of another form.
    init(_ json: JSONValue) throws(FormatError) {
        let fields = try JSONFields(json, "import_source", offset: 0)
        format = try fields.string("format")
        files = try fields.array("files", atMost: ExchangeLimits.filesMax).map {
            json throws(FormatError) in
            let fields = try JSONFields(json, "file", offset: 0)
            return File(
                path: try fields.string("path"), byteCount: try fields.count("bytes"),
                digest: try fields.string("xxh3_128"))
        }
    }
}

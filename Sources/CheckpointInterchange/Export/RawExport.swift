internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointStorage
internal import Foundation
internal import SystemPackage

/// The files that one raw export writes. Their names are numbers: a name from the checkpoint never
/// becomes a path.
struct RawExport {
    private let checkpoint: Checkpoint
    private var manifest: Manifest { checkpoint.manifest }
    private let store: CheckpointStore
    private let reader: ContentReader
    private let stream: TensorStream
    private let directory: FilePath
    private let isNewDirectory: Bool
    private var files: [FilePath] = []
    private var tensors: [JSONValue] = []
    private var tensorBytes = 0
    private var totalBytes = 0
    private let format: RawFormat
    private let cancellation: Cancellation
    private let onProgress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    private var objects: [JSONValue] = []
    /// Files of the tensors written so far, by name, if equal tensors are to share one.
    private var fileOfTensor: [ByteName: (name: String, digest: Hash128)]?

    init(
        of checkpoint: Checkpoint, to path: String, as format: RawFormat, sharesFiles: Bool,
        cancellation: Cancellation, onProgress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    ) throws(CheckpointError) {
        self.checkpoint = checkpoint
        self.format = format
        self.cancellation = cancellation
        let manifest = checkpoint.manifest
        store = checkpoint.store
        self.onProgress = onProgress
        fileOfTensor = sharesFiles ? [:] : nil
        reader = ContentReader(store: store, manifest: manifest)
        stream = TensorStream(store: store, manifest: manifest)
        directory = FilePath(path)
        let (files, directory) = (store.outputFiles, directory)
        isNewDirectory = try translating("restore") {
            let kind = try files.kind(of: directory)
            guard kind != nil else {
                let parent = directory.lexicallyNormalized().removingLastComponent()
                guard try parent.isEmpty || files.kind(of: parent) == .directory else {
                    throw CheckpointError(
                        .exists,
                        "\(path) cannot be created: the directory \(parent) does not exist",
                        remedy: "Create it, or choose another path with -o", path: path)
                }
                try files.makeDirectory(directory)
                return true
            }
            guard kind == .directory else {
                throw CheckpointError(
                    .misuse, "\(path) is not a directory", remedy: "Choose a new directory with -o",
                    path: path)
            }
            let names = try files.list(directory)
            guard names.isEmpty else { throw Self.isTaken(path, by: names) }
            return false
        }
    }

    /// Returns the error for a directory that is not empty.
    private static func isTaken(_ path: String, by names: [String]) -> CheckpointError {
        let isUnfinished = names.allSatisfy { name in
            let number = name.hasPrefix("object-") ? name.dropFirst("object-".count) : name[...]
            return name == "index.json.part" || number.first?.isNumber ?? false
        }
        return isUnfinished
            ? CheckpointError(
                .misuse, "\(path) contains files of an unfinished restore: index.json is missing",
                remedy: "Delete the directory, or choose a new one with -o", path: path)
            : CheckpointError(
                .misuse, "\(path) is not an empty directory",
                remedy: "Choose a new directory with -o", path: path)
    }

    /// The index of the directory (Formats/cli-json.md, Restore).
    private var index: JSONValue {
        manifest.description.adding([
            .init("tensors", .array(tensors)), .init("objects", .array(objects)),
        ])
    }

    mutating func write(
        _ records: [(number: Int, record: TensorRecord)]
    ) throws -> RawExportReport {
        totalBytes = records.reduce(0) { $0 + $1.record.bytes }
        let aliases = fileOfTensor == nil ? [:] : manifest.aliases
        for (number, record) in records {
            var name = Self.number(number) + format.suffix
            let digest: Hash128
            if let first = aliases[ByteName(record.name)],
                let shared = fileOfTensor?[ByteName(first)]
            {
                name = shared.name
                digest = shared.digest
            } else {
                digest = try write(record, to: name)
            }
            fileOfTensor?[ByteName(record.name)] = (name, digest)
            let storage = manifest.storage(of: record.shards.map(\.chunks))
            tensors.append(
                record.description(storage, digest).adding([.init("file", .string(name))]))
            tensorBytes += record.bytes
        }
        for (number, record) in manifest.objects.enumerated() {
            try write(ObjectContent(record, reader), number)
        }
        let index = index
        try publish(Array((index.safeText + "\n").utf8))
        return RawExportReport(
            checkpoint: checkpoint, tensorCount: tensors.count, tensorBytes: tensorBytes,
            index: index)
    }

    /// Copies a tensor from the store to the file in windows: memory use is independent of its
    /// size.
    private mutating func write(_ record: TensorRecord, to name: String) throws -> Hash128 {
        let (stream, before, total, onProgress) = (stream, tensorBytes, totalBytes, onProgress)
        let cancellation = cancellation
        let header = try format == .npy ? checkpoint.numpyHeader(ofTensor: record.name) : []
        return try create(name) { file in
            if !header.isEmpty {
                try translating("writing \(name)") { try file.write(header, at: 0) }
            }
            var offset = 0
            return try stream.readInOrder(record) { region throws(CheckpointError) in
                try cancellation.check("the restore of tensor \(record.name)")
                try translating("writing \(name)") {
                    try file.write(region, at: header.count + offset)
                }
                offset += region.count
                onProgress?(before + offset, total)
            }
        }
    }

    /// Publishes the index when all other files, and the index, are on the disk.
    private mutating func publish(_ index: [UInt8]) throws {
        let (temporary, path) = (
            directory.appending("index.json.part"), directory.appending("index.json")
        )
        try write(index, to: "index.json.part")
        try translating("writing index.json") {
            // The directory was empty, so nothing is replaced.
            try store.outputFiles.replace(path, with: temporary)
            files.append(path)
            try store.outputFiles.syncDirectory(directory)
            // Also if the directory was there: nobody may have synced its name.
            try store.outputFiles.syncName(of: directory)
        }
    }

    /// Objects of JSON are in the index; the others become files.
    private mutating func write(_ object: ObjectContent, _ number: Int) throws {
        var description = object.description(withDigest: true)
        if object.record.encoding == .bytes {
            let name = "object-\(Self.number(number)).bin"
            try write(object.bytes, to: name)
            description = description.adding([.init("file", .string(name))])
        }
        objects.append(description)
    }

    /// Makes a file that `body` fills, and waits until it is on the disk.
    private mutating func create<R>(_ name: String, _ body: (any WritableFile) throws -> R) throws
        -> R
    {
        let path = directory.appending(name)
        let file = try translating("creating \(name)") { try store.outputFiles.create(path) }
        files.append(path)
        defer { file.close() }
        let result = try body(file)
        try translating("writing \(name)") { try file.sync() }
        return result
    }

    private mutating func write(_ bytes: [UInt8], to name: String) throws {
        try create(name) { file in
            try translating("writing \(name)") { try file.write(bytes, at: 0) }
        }
    }

    private static func number(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(5 - digits.count, 0)) + digits
    }

    /// Removes the files written so far, as far as possible: the error that led here is reported.
    func undo() {
        for file in files { try? store.outputFiles.remove(file) }  // reported: the first error
        guard isNewDirectory else { return }
        try? FileManager.default.removeItem(atPath: directory.string)  // reported: the first error
    }
}

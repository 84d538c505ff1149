import ArgumentParser
import CheckpointFormat
import CheckpointIO
import CheckpointSegments
import Checkpointing
import Foundation
import SystemPackage

struct Restore: Verb {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Writes the tensors of a checkpoint to plain files.",
        discussion: """
            Example: ckpt restore runs/first 1000 -o weights --tensor 'model.*'

            Each tensor becomes one raw little-endian, row-major file, 00000.bin and so on; index.json says which is \
            which, holds the objects, and is written last: a directory without it is not complete. Every byte is \
            checked on its way.
            """)

    @OptionGroup var common: CommonArguments

    @Argument(help: ArgumentHelp("The checkpoint: latest, a step, or the first digits of an id.", valueName: "ref"))
    var reference = CheckpointReference.latest

    @Option(name: [.short, .long], help: ArgumentHelp("A new or empty directory for the files.", valueName: "dir"))
    var output: String

    @Option(help: ArgumentHelp("Restores only tensors of this name; * and ? are wild.", valueName: "glob"))
    var tensor: String?

    func execute() throws -> ExitCode {
        let store = try common.open()
        let (manifest, _) = try store.find(reference)
        let tensors = try manifest.tensors(matching: tensor.map { NamePattern($0) })
        var export = try Export(of: manifest, in: store, to: output)
        do { try export.write(tensors) } catch {
            export.undo()
            throw error
        }
        ProgressLine.clear()
        if common.json { Output.json(export.index) } else { printText(export, manifest) }
        return .fine
    }

    private func printText(_ export: Export, _ manifest: Manifest) {
        Output.line(
            "restored \(Output.count(export.tensors.count, "tensor")) (\(Output.size(export.tensorBytes))) and "
                + "\(Output.count(manifest.objects.count, "object")) of step \(manifest.step) "
                + "(\(Output.short(manifest.id))) to \(output)")
    }
}

/// The files that one `ckpt restore` writes. Their names are numbers: a name from the checkpoint never becomes a path.
private struct Export {
    private let manifest: Manifest
    private let store: CheckpointStore
    private let reader: ContentReader
    private let directory: FilePath
    private let isNewDirectory: Bool
    private var files: [FilePath] = []
    private(set) var tensors: [JSONValue] = []
    private(set) var tensorBytes = 0
    private var objects: [JSONValue] = []

    init(of manifest: Manifest, in store: CheckpointStore, to path: String) throws {
        self.manifest = manifest
        self.store = store
        reader = ContentReader(store: store, manifest: manifest)
        directory = FilePath(path)
        try Self.refuse(path, inside: store.directories.root.string)
        let (files, directory) = (store.fileSystem, directory)
        isNewDirectory = try translating("restore") {
            let kind = try files.kind(of: directory)
            guard kind != nil else {
                try files.makeDirectory(directory)
                return true
            }
            guard try kind == .directory && files.list(directory).isEmpty else {
                throw CheckpointError(
                    .misuse, "\(path) is not an empty directory", remedy: "Name a new directory with -o", path: path)
            }
            return false
        }
    }

    /// Nothing is written to a store.
    private static func refuse(_ path: String, inside root: String) throws {
        func resolved(_ path: String) -> String {
            let url = URL(fileURLWithPath: path).standardizedFileURL
            // What is not there yet cannot be a link; its directory may be.
            let parent = url.deletingLastPathComponent().resolvingSymlinksInPath()
            return parent.appendingPathComponent(url.lastPathComponent).resolvingSymlinksInPath().path
        }
        let (inner, outer) = (resolved(path), resolved(root))
        guard inner != outer, !inner.hasPrefix(outer + "/") else {
            throw CheckpointError(
                .misuse, "\(path) lies inside the store", remedy: "Name a directory outside of it with -o", path: path)
        }
    }

    /// What the directory holds, and all of what `--json` prints.
    var index: JSONValue {
        manifest.description.adding([.init("tensors", .array(tensors)), .init("objects", .array(objects))])
    }

    mutating func write(_ records: [(number: Int, record: TensorRecord)]) throws {
        let total = records.reduce(0) { $0 + $1.record.bytes }
        let progress = ProgressLine("restoring")
        for (number, record) in records {
            let tensor = try reader.tensor(record)
            let name = Self.number(number) + ".bin"
            let pieces = stride(from: 0, to: record.bytes, by: 1 << 20).lazy.map { start in
                tensor.region[start..<min(start + 1 << 20, record.bytes)].array
            }
            try write(pieces, to: name)
            let storage = manifest.storage(of: record.shards.map(\.chunks))
            tensors.append(record.description(storage, tensor.region.hash128).adding([.init("file", .string(name))]))
            tensorBytes += record.bytes
            progress.show(tensorBytes, of: total)
        }
        for (number, record) in manifest.objects.enumerated() { try write(ObjectContent(record, reader), number) }
        try write([Array((Output.encoded(index) + "\n").utf8)], to: "index.json")
    }

    /// Objects of JSON stand in the index; the others become files.
    private mutating func write(_ object: ObjectContent, _ number: Int) throws {
        var description = object.description(withDigest: true)
        if object.record.encoding == .bytes {
            let name = "object-\(Self.number(number)).bin"
            try write([object.bytes], to: name)
            description = description.adding([.init("file", .string(name))])
        }
        objects.append(description)
    }

    private mutating func write(_ pieces: some Sequence<[UInt8]>, to name: String) throws {
        let path = directory.appending(name)
        let files = store.fileSystem
        let file = try translating("creating \(name)") { try files.create(path) }
        self.files.append(path)
        defer { file.close() }
        var offset = 0
        for piece in pieces {
            try translating("writing \(name)") { try file.write(piece, at: offset) }
            offset += piece.count
        }
    }

    private static func number(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(5 - digits.count, 0)) + digits
    }

    /// Takes back what was written, as far as possible: the error that led here is the one to tell of.
    func undo() {
        for file in files { try? store.fileSystem.remove(file) }
        if isNewDirectory { try? FileManager.default.removeItem(atPath: directory.string) }
    }
}

package import CheckpointFormat
internal import CheckpointIO
package import Checkpointing
internal import Foundation
package import SystemPackage

/// A state described by a file (Formats/cli-json.md, "Workloads"): tensors in raw little-endian
/// files, and objects.
package struct Workload: Sendable {
    package struct Tensor: Sendable {
        package let specification: TensorSpecification
        package let file: FilePath
        package let offset: Int
    }

    package private(set) var tensors: [Tensor] = []
    package private(set) var objects: [JSONValue.Member] = []

    /// Limits of memory and time: the capacity of one machine, and the patience of one user.
    private static let manifestBytesMax = 256 << 20
    private static let bytesMax = Int(ProcessInfo.processInfo.physicalMemory) / 4 * 3

    /// Reads the description, and checks that every file contains its tensors.
    ///
    /// - Parameter path: the JSON file; paths in it are relative to its directory.
    /// - Throws: `CheckpointError` with code `notFound` for a missing file, `io` for an unreadable
    ///   file, `misuse` for an invalid description.
    package init(path: String) throws(CheckpointError) {
        let path = FilePath(path)
        let contents = try translating("workload") {
            try POSIXFileSystem().contents(of: path, atMost: Self.manifestBytesMax)
        }
        guard let text = contents else {
            throw Self.mistake(
                path, "the file is larger than \(Self.manifestBytesMax >> 20) MiB")
        }
        do throws(FormatError) {
            let fields = try JSONFields(try JSONParser.parse(text[...]), "the workload", offset: 0)
            let entries = try fields.array("tensors", atMost: Limits.tensorsPerManifestMax)
            for (number, entry) in entries.enumerated() {
                tensors.append(try Self.tensor(entry, number: number, beside: path))
            }
            objects = fields.has("objects") ? try Self.members(fields.value("objects"), fields) : []
        } catch {
            throw Self.mistake(path, error.message)
        }
        try checkNames(path)
        try checkFiles(path)
    }

    private static func mistake(_ path: FilePath, _ message: String) -> CheckpointError {
        CheckpointError(
            .misuse, "workload \(path): \(message)",
            remedy: "See Formats/cli-json.md, Workloads", path: path.string)
    }

    // MARK: The description

    private static func tensor(_ value: JSONValue, number: Int, beside path: FilePath) throws(FormatError) -> Tensor {
        let fields = try JSONFields(value, "tensor \(number)", offset: 0)
        let type = try fields.string("dtype")
        guard let type = ElementType(rawValue: type) else {
            let known = ElementType.allCases.map(\.rawValue).joined(separator: ", ")
            throw fields.error("dtype \(type) is not one of \(known)")
        }
        let shape = try fields.counts("shape", atMost: Limits.rankOfTensorMax)
        guard TensorShape.byteCount(shape, type) != nil else { throw fields.error("shape \(shape) is too large") }
        let group = fields.has("group") ? try fields.name("group") : StateInventory.defaultGroup
        let file = try fields.string("file")
        guard !file.isEmpty, !file.utf8.contains(0) else { throw fields.error("file is not a path") }
        let specification = TensorSpecification(
            name: try fields.name("name"), type: type, shape: shape, role: .parameter, group: group)
        return Tensor(
            specification: specification, file: path.removingLastComponent().pushing(FilePath(file)),
            offset: try fields.count("offset"))
    }

    private static func members(_ value: JSONValue, _ fields: JSONFields) throws(FormatError) -> [JSONValue.Member] {
        guard case .object(let members) = value else {
            throw fields.error("objects is not a JSON object")
        }
        return members
    }

    private func checkNames(_ path: FilePath) throws(CheckpointError) {
        var seen = Set<ByteName>()
        for tensor in tensors where !seen.insert(ByteName(tensor.specification.name)).inserted {
            throw Self.mistake(path, "two tensors have the name \(tensor.specification.name)")
        }
        for object in objects where !(1...Limits.nameBytesMax).contains(object.key.utf8.count) {
            throw Self.mistake(path, "an object's name has \(object.key.utf8.count) bytes, not 1 to \(Limits.nameBytesMax)")
        }
        guard tensors.contains(where: { $0.specification.byteCount > 0 }) else {
            throw Self.mistake(path, "no tensor has any bytes")
        }
    }

    // MARK: The files

    private func checkFiles(_ path: FilePath) throws(CheckpointError) {
        var total = 0
        var sizes: [FilePath: Int] = [:]
        for tensor in tensors {
            let name = tensor.specification.name
            let known = sizes[tensor.file]
            let size = if let known { known } else { try Self.size(of: tensor.file, "tensor \(name)") }
            sizes[tensor.file] = size
            let bytes = tensor.specification.byteCount
            guard tensor.offset <= size, bytes <= size - tensor.offset else {
                throw Self.mistake(
                    path, "tensor \(name) needs \(bytes) bytes at offset \(tensor.offset) of \(tensor.file), which has \(size) bytes")
            }
            total += bytes
            guard total <= Self.bytesMax else {
                throw Self.mistake(
                    path, "the tensors need more than three quarters of this machine's memory")
            }
        }
    }

    private static func size(of path: FilePath, _ what: String) throws(CheckpointError) -> Int {
        try translating(what) { try POSIXFileSystem().open(path).size }
    }

    /// Reads the tensors into memory.
    ///
    /// - Returns: the state.
    /// - Throws: `CheckpointError` if memory is refused or a file cannot be read.
    func load() throws(CheckpointError) -> TrainingState {
        try translating("loading the workload") { () throws in
            let objects = objects.map { object in
                TrainingState.Object(name: object.key, role: .other) { _ in object.value }
            }
            let state = try TrainingState(tensors.map(\.specification), objects: objects)
            for (tensor, place) in zip(tensors, state.tensors) {
                try place.region.read(from: try POSIXFileSystem().open(tensor.file), at: tensor.offset)
            }
            return state
        }
    }
}

package import CheckpointFormat
internal import CheckpointState
package import SystemPackage

/// The contents of one or several foreign files.
package struct ForeignCheckpoint: Sendable {
    /// Format of the files; its raw value is the name used on the command line.
    package internal(set) var format: ForeignFormat
    package internal(set) var tensors: [ForeignTensor] = []
    package internal(set) var objects: [ForeignObject] = []
    /// Parts of the files that are not in `tensors` and `objects`.
    package internal(set) var leftOut: [LeftOut] = []
    /// Decisions of the reader that the user should know of, as sentences.
    package internal(set) var notes: [String] = []

    init(_ format: ForeignFormat) { self.format = format }

    /// Joins the contents of several files.
    ///
    /// - Parameters:
    ///   - parts: the contents of the files; the first one determines the format.
    ///   - paths: the names of the files, for messages.
    /// - Throws: `ExchangeError` if two tensors have the same name.
    package init(joining parts: [ForeignCheckpoint], of paths: [String]) throws(ExchangeError) {
        self.init(parts.first?.format ?? .raw)
        for part in parts { add(part) }
        if parts.count > 1 { try Self.checkNames(Array(zip(paths, parts))) }
    }

    /// Checks that no two files have a tensor of the same name.
    ///
    /// - Parameter parts: the files.
    /// - Throws: `ExchangeError` that names the tensor and both files.
    static func checkNames(_ parts: [(path: String, checkpoint: ForeignCheckpoint)])
        throws(ExchangeError)
    {
        var pathOfName: [ByteName: String] = [:]
        for (path, checkpoint) in parts {
            for tensor in checkpoint.tensors {
                guard let other = pathOfName.updateValue(path, forKey: ByteName(tensor.name))
                else { continue }
                throw .damage(
                    path,
                    "tensor \(quoted(tensor.name)) is also in \(other)",
                    remedy:
                        "Import only one of the two files, or each into its own checkpoint"
                )
            }
        }
    }

    /// Strikes files from what was left out, because they were read after all.
    ///
    /// - Parameter isRead: whether a file was read.
    package mutating func strikeLeftOut(_ isRead: (FilePath) -> Bool) {
        leftOut.removeAll { part in part.file.map(isRead) ?? false }
    }

    /// Name of the object that lists what was left out.
    package static let leftOutName = "left_out"

    /// Adds an object that lists what was left out, if anything was.
    package mutating func recordLeftOut() {
        guard !leftOut.isEmpty else { return }
        let entries = leftOut.map {
            JSONValue.object([.init("name", .string($0.name)), .init("what", .string($0.what))])
        }
        objects.append(ForeignObject(Self.leftOutName, .array(entries)))
    }

    /// Adds an object about the files. If its name is taken it gets a number.
    package mutating func record(_ value: JSONValue, as name: String) {
        add(ForeignObject(name, value))
    }

    /// Total size of all tensors in bytes.
    package var bytes: Int { tensors.reduce(0) { $0 + $1.view.byteCount } }

    /// Adds the contents of another file.
    mutating func add(_ other: ForeignCheckpoint) {
        tensors += other.tensors
        leftOut += other.leftOut
        notes += other.notes.filter { !notes.contains($0) }
        for object in other.objects { add(object) }
    }

    /// Adds an object, unless an equal one is there. If its name is taken it gets a number; only the
    /// types of tensors are joined, because each is about its own tensor.
    mutating func add(_ object: ForeignObject) {
        let same = objects.indices.filter {
            objects[$0].name.isSameName(as: object.name)
                || objects[$0].name.utf8.starts(with: (object.name + ".").utf8)
        }
        guard let first = same.first else { return objects.append(object) }
        if same.contains(where: { objects[$0].value.hasMembers(of: object.value) }) { return }
        if object.name == ForeignObject.typesName, case .object(let own) = objects[first].value,
            case .object(let more) = object.value
        {
            objects[first].value = .object(own + more)
            return
        }
        var object = object
        object.name += ".\(same.count + 1)"
        objects.append(object)
    }

    /// Checks that the tensors are not far larger than their files, which is possible for tensors
    /// that share bytes with each other, or whose elements do.
    ///
    /// - Parameters:
    ///   - stored: total size of the files in bytes.
    ///   - path: the file, for messages.
    /// - Throws: `ExchangeError` beyond `ExchangeLimits.expansionMax`.
    func checkExpansion(_ stored: Int, _ path: String) throws(ExchangeError) {
        try Self.checkExpansion(tensors.map(\.view.byteCount), stored, path)
    }

    /// Checks that tensors are not far larger than their files.
    ///
    /// - Parameters:
    ///   - sizes: size of each tensor in bytes.
    ///   - stored: total size of the files in bytes.
    ///   - path: the file, for messages.
    /// - Throws: `ExchangeError` beyond `ExchangeLimits.expansionMax`.
    static func checkExpansion(_ sizes: [Int], _ stored: Int, _ path: String) throws(ExchangeError)
    {
        let limit = max(stored, 1 << 20).multipliedReportingOverflow(
            by: ExchangeLimits.expansionMax)
        var bytes = 0
        for size in sizes {
            let (sum, isTooLarge) = bytes.addingReportingOverflow(size)
            guard !isTooLarge, limit.overflow || sum <= limit.partialValue else {
                throw .refused(
                    path,
                    "its tensors have in total more than \(ExchangeLimits.expansionMax) times "
                        + "the size of its files"
                )
            }
            bytes = sum
        }
    }

    /// Checks that no two tensors have the same name.
    ///
    /// - Parameter path: the file to report.
    /// - Throws: `ExchangeError` if two tensors have the same name.
    func checkNames(_ path: String) throws(ExchangeError) {
        var seen = Set<ByteName>(minimumCapacity: tensors.count)
        for tensor in tensors where !seen.insert(ByteName(tensor.name)).inserted {
            throw .damage(path, "two tensors have the name \(quoted(tensor.name))")
        }
    }
}

extension JSONValue {
    /// Returns whether two values are equal, regardless of the order of an object's keys, which the
    /// safetensors library leaves to chance.
    fileprivate func hasMembers(of other: JSONValue) -> Bool {
        guard case .object(let own) = self, case .object(let others) = other else {
            return self == other
        }
        func sorted(_ members: [Member]) -> [Member] {
            members.sorted { $0.key.precedesName($1.key) }
        }
        return sorted(own) == sorted(others)
    }
}

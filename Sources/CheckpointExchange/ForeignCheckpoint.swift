package import CheckpointFormat
package import CheckpointState
internal import SystemPackage

/// A tensor of a foreign file: what it is, and where its bytes lie.
package struct ForeignTensor: Sendable {
    package var name: String
    package let view: TensorView

    /// - Throws: if the name cannot be one of ours.
    init(_ name: String, _ view: TensorView, in path: String) throws(ExchangeError) {
        guard (1...Limits.nameBytesMax).contains(name.utf8.count) else {
            throw .refused(path, "tensor \(quoted(name)): a name has 1 to \(Limits.nameBytesMax) bytes")
        }
        guard !name.utf8.contains(0) else { throw .refused(path, "tensor \(quoted(name)): a name with a NUL in it") }
        self.name = name
        self.view = view
    }

    /// - Parameter strides: in elements; row-major if nil.
    init(
        _ name: String, _ type: ElementType, _ shape: [Int], strides: [Int]? = nil, byteOffset: Int = 0, in memory: FileMemory
    ) throws(ExchangeError) {
        let path = memory.file.path.string
        guard shape.count <= Limits.rankOfTensorMax else {
            throw .refused(path, "tensor \(quoted(name)): \(shape.count) dimensions, more than \(Limits.rankOfTensorMax)")
        }
        guard strides?.count ?? shape.count == shape.count else {
            throw .damage(path, "tensor \(quoted(name)): shape \(shown(shape)) with strides \(shown(strides ?? []))")
        }
        let view: TensorView
        do throws(StateError) {
            let strides = strides ?? TensorShape.rowMajorStrides(shape)
            let direct = try TensorView(memory.memory, type: type, shape: shape, strides: strides, byteOffset: byteOffset)
            let layout = StridedLayout(type, shape, strides: strides, byteOffset: byteOffset)
            view = try layout.map { layout throws(StateError) in try StridedFile(memory, layout).lend() } ?? direct
        } catch {
            throw .damage(path, "tensor \(quoted(name)): \(error)")
        }
        try self.init(name, view, in: path)
    }
}

/// A value of a foreign file that is no tensor.
package struct ForeignObject: Sendable {
    package var name: String
    package var value: JSONValue

    init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

/// What one or several foreign files hold.
package struct ForeignCheckpoint: Sendable {
    /// Name of the format, as on the command line.
    package internal(set) var format: ForeignFormat
    package internal(set) var tensors: [ForeignTensor] = []
    package internal(set) var objects: [ForeignObject] = []

    init(_ format: ForeignFormat) { self.format = format }

    /// What several files hold together.
    /// - Parameter paths: their names, for messages.
    package init(joining parts: [ForeignCheckpoint], of paths: [String]) throws(ExchangeError) {
        self.init(parts.first?.format ?? .raw)
        for (part, path) in zip(parts, paths) {
            add(part)
            if parts.count > 1 { try checkNames(path) }
        }
    }

    /// Bytes of all tensors.
    package var bytes: Int { tensors.reduce(0) { $0 + $1.view.byteCount } }

    /// Adds what another file holds. An object whose name is taken gets a number.
    mutating func add(_ other: ForeignCheckpoint) {
        tensors += other.tensors
        for var object in other.objects {
            let taken = objects.count { $0.name == object.name || $0.name.hasPrefix(object.name + ".") }
            if taken > 0 { object.name += ".\(taken + 1)" }
            objects.append(object)
        }
    }

    /// Tensors whose elements lie in one place, or which lie in another's place, may not make much of little.
    /// - Parameter stored: bytes of the files.
    func checkExpansion(_ stored: Int, _ path: String) throws(ExchangeError) {
        try Self.checkExpansion(tensors.map(\.view.byteCount), stored, path)
    }

    /// - Parameter sizes: of the tensors, in bytes.
    static func checkExpansion(_ sizes: [Int], _ stored: Int, _ path: String) throws(ExchangeError) {
        let limit = max(stored, 1 << 20).multipliedReportingOverflow(by: ExchangeLimits.expansionMax)
        var bytes = 0
        for size in sizes {
            let (sum, isTooLarge) = bytes.addingReportingOverflow(size)
            guard !isTooLarge, limit.overflow || sum <= limit.partialValue else {
                throw .refused(path, "tensors of more than \(ExchangeLimits.expansionMax) times the bytes they are stored in")
            }
            bytes = sum
        }
    }

    /// - Throws: if two tensors share a name, told as `path`'s fault.
    func checkNames(_ path: String) throws(ExchangeError) {
        // As bytes: Swift takes strings for equal that differ only in how an accented letter is composed.
        var seen = Set<[UInt8]>(minimumCapacity: tensors.count)
        for tensor in tensors where !seen.insert(Array(tensor.name.utf8)).inserted {
            throw .damage(path, "two tensors have the name \(quoted(tensor.name))")
        }
    }
}

/// The formats that are read.
package enum ForeignFormat: String, Sendable, CaseIterable {
    case safetensors, npy, npz, pt, dcp, raw
}

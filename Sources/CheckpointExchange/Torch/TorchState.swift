internal import CheckpointFormat
internal import CheckpointState
internal import SystemPackage

/// Separation of a pickled value into tensors and JSON. Tensors are named after the keys that lead
/// to them, joined by dots; everything else becomes JSON.
struct TorchState {
    /// Amount read so far from one or several pickles.
    struct Amount {
        var values = 0
        var tensors = 0
        var textBytes = 0
    }

    private(set) var tensors: [ForeignTensor] = []
    private(set) var amount: Amount
    private var names = Set<[UInt8]>()
    private let archive: TorchArchive
    private var keys: [String]

    /// Prepares to read an archive.
    ///
    /// - Parameters:
    ///   - archive: the file of `torch.save`.
    ///   - name: keys put before all others; they name values that have no key.
    ///   - amount: amount read before, which counts towards the same limits.
    init(_ archive: TorchArchive, under name: [String] = [], after amount: Amount = Amount()) {
        self.archive = archive
        self.amount = amount
        keys = name
    }

    private var pickle: Pickle { archive.pickle }

    /// Reads the root of the pickle, and collects its tensors in `tensors`.
    ///
    /// - Returns: everything that is not a tensor; nil if there is nothing else.
    /// - Throws: `ExchangeError` if the pickle is damaged, not supported, or exceeds a limit.
    mutating func readRoot() throws(ExchangeError) -> JSONValue? { try read(pickle.root) }

    private mutating func read(_ value: Pickle.Value) throws(ExchangeError) -> JSONValue? {
        try count(0)
        if archive.isTensor(value) {
            let name = try name()
            guard names.insert(Array(name.utf8)).inserted else {
                throw .refused(pickle.path, "two tensors would have the name \(quoted(name))")
            }
            amount.tensors += 1
            tensors.append(try archive.tensor(name, value))
            return nil
        }
        guard case .node(let index) = value else { return try scalar(value) }
        let node = pickle.nodes[index]
        switch node.kind {
        case .dictionary: return try dictionary(value)
        case .list, .tuple, .set: return try list(node.items)
        case .call(.size):
            let extents = try pickle.integers(value, "a torch.Size")
            for _ in extents { try count(0) }
            return .counts(extents)
        case .call(.device), .call(.layout): return try joined(node.items, by: ":")
        case .call(.path): return try joined(node.items, by: "/")
        case .call(let global): throw pickle.error("\(global.name) where a value belongs")
        case .persistent: throw .refused(pickle.path, "a storage that is no tensor's")
        }
    }

    private mutating func count(_ bytes: Int) throws(ExchangeError) {
        amount.values += 1
        amount.textBytes += bytes
        guard amount.values <= ExchangeLimits.objectValuesMax, amount.tensors <= ExchangeLimits.pickleTensorsMax,
            amount.textBytes <= ExchangeLimits.objectBytesMax
        else {
            throw .refused(pickle.path, "more values than tensors need: a pickle may say one thing many times")
        }
        guard keys.count <= ExchangeLimits.pickleDepthMax else {
            throw .refused(pickle.path, "containers nest more than \(ExchangeLimits.pickleDepthMax) deep")
        }
    }

    private func name() throws(ExchangeError) -> String {
        guard keys.reduce(0, { $0 + $1.utf8.count + 1 }) <= Limits.nameBytesMax + 1 else {
            throw .refused(pickle.path, "tensor \(quoted(keys.last ?? "")): a name has 1 to \(Limits.nameBytesMax) bytes")
        }
        return keys.isEmpty ? "tensor" : keys.joined(separator: ".")
    }

    private mutating func read(_ value: Pickle.Value, at key: String) throws(ExchangeError) -> JSONValue? {
        keys.append(key)
        defer { keys.removeLast() }
        return try read(value)
    }

    private mutating func dictionary(_ value: Pickle.Value) throws(ExchangeError) -> JSONValue? {
        var members: [JSONValue.Member] = []
        var seen = Set<[UInt8]>()
        let pairs = try pickle.members(value, "a dictionary")
        for pair in pairs {
            let key = try text(ofKey: pair.key)
            try count(key.utf8.count)
            guard seen.insert(Array(key.utf8)).inserted else { throw .refused(pickle.path, "two keys read \(quoted(key))") }
            if let value = try read(pair.value, at: key) { members.append(.init(key, value)) }
        }
        return members.isEmpty && !pairs.isEmpty ? nil : .object(members)
    }

    /// Converts a key to text, because the keys of JSON are strings.
    private mutating func text(ofKey key: Pickle.Value) throws(ExchangeError) -> String {
        switch key {
        case .string(let text): return text
        case .node:
            guard pickle.node(key)?.kind == .tuple, let value = try read(key, at: "") else { throw pickle.error("a key that is no value") }
            return String(decoding: value.text, as: UTF8.self)
        default: return String(decoding: try scalar(key).text, as: UTF8.self)
        }
    }

    private mutating func list(_ items: [Pickle.Value]) throws(ExchangeError) -> JSONValue? {
        var elements: [JSONValue] = []
        var isOnlyTensors = !items.isEmpty
        for (index, item) in items.enumerated() {
            let element = try read(item, at: String(index))
            if element != nil { isOnlyTensors = false }
            // A null keeps the tensor's place, so that the indices of the other elements do not
            // change.
            elements.append(element ?? .null)
        }
        return isOnlyTensors ? nil : .array(elements)
    }

    /// Joins the parts of a device or a path to its text.
    private mutating func joined(_ items: [Pickle.Value], by separator: String) throws(ExchangeError) -> JSONValue {
        var parts: [String] = []
        for item in items {
            guard case .string(let text) = item else {
                parts.append(String(decoding: try scalar(item).text, as: UTF8.self))
                continue
            }
            parts.append(text)
        }
        try count(parts.reduce(0) { $0 + $1.utf8.count })
        return .string(parts.joined(separator: separator))
    }

    private mutating func scalar(_ value: Pickle.Value) throws(ExchangeError) -> JSONValue {
        switch value {
        case .none: return .null
        case .bool(let flag): return .bool(flag)
        case .integer(let integer): return .integer(integer)
        case .number(let number): return .metric(number)
        case .large(let digits):
            try count(digits.utf8.count)
            return .string(digits)
        case .string(let text):
            try count(text.utf8.count)
            return .string(text)
        case .bytes(let bytes):
            try count(bytes.count * 2)
            let digits = bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
            return .object([.init("bytes", .string(digits))])
        case .global(let global): return .string(global.name)
        case .node: throw pickle.error("a container where a value belongs")
        }
    }
}

/// Reader of files of `torch.save`.
enum TorchReader {
    /// Name of the object that holds everything that is not a tensor.
    static let extraName = "extra"

    static func read(_ archive: ZipArchive, _ spill: Spill) throws(ExchangeError) -> ForeignCheckpoint {
        var state = TorchState(try TorchArchive(archive, spill))
        var checkpoint = ForeignCheckpoint(.pt)
        if let extra = try state.readRoot() { checkpoint.objects = [ForeignObject(extraName, extra)] }
        checkpoint.tensors = state.tensors
        try checkpoint.checkExpansion(archive.file.size, archive.file.path.string)
        return checkpoint
    }
}

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
    /// Attributes of tensors, by the name of the tensor.
    private(set) var attributes: [JSONValue.Member] = []
    private(set) var leftOut: [LeftOut] = []
    private(set) var amount: Amount
    private let skipsObjects: Bool
    private var names = Set<ByteName>()
    /// The containers around the value that is being read.
    private var open = Set<Int>()
    private let archive: TorchArchive
    private var keys: [String]

    /// Prepares to read an archive.
    ///
    /// - Parameters:
    ///   - archive: the file of `torch.save`.
    ///   - name: keys put before all others; they name values that have no key.
    ///   - amount: amount read before, which counts towards the same limits.
    ///   - skipsObjects: whether what is neither a tensor nor a plain value is left out.
    init(
        _ archive: TorchArchive, under name: [String] = [], after amount: Amount = Amount(),
        skipsObjects: Bool
    ) {
        self.archive = archive
        self.skipsObjects = skipsObjects
        self.amount = amount
        keys = name
    }

    private var pickle: Pickle { archive.pickle }

    /// Reads the root of the pickle, and collects its tensors in `tensors`.
    ///
    /// - Returns: everything that is not a tensor; nil if there is nothing else.
    /// - Throws: `ExchangeError` if the pickle is damaged, not supported, or exceeds a limit.
    mutating func readRoot() throws(ExchangeError) -> JSONValue? {
        let value = try read(pickle.root)
        // A foreign name that made no value is refused too: it may have changed one.
        if let name = pickle.foreign, !skipsObjects {
            throw .refused(pickle.path, Pickle.refusal(name), remedy: Self.skipRemedy)
        }
        return value
    }

    static let skipRemedy = "Give --skip-objects to import the other entries"
    private static let rootRemedy =
        "Load it in Python, save a dictionary of its tensors with torch.save, and import that file"

    /// Leaves out the value at the current keys, or refuses it.
    ///
    /// - Parameters:
    ///   - what: its class, or what is wrong with it.
    ///   - reason: the reason to refuse it.
    private mutating func leaveOut(_ what: String, _ reason: String) throws(ExchangeError) {
        // Without the root nothing is left to import.
        if keys.isEmpty { throw .refused(pickle.path, reason, remedy: Self.rootRemedy) }
        let entry = keys.joined(separator: ".")
        guard skipsObjects else {
            throw .refused(
                pickle.path, "entry \(quoted(entry)): \(reason)", remedy: Self.skipRemedy)
        }
        leftOut.append(LeftOut(name: entry, what: what))
    }

    private mutating func leaveOut(foreign name: String) throws(ExchangeError) {
        try leaveOut(name, Pickle.refusal(name))
    }

    private mutating func read(_ value: Pickle.Value) throws(ExchangeError) -> JSONValue? {
        try count(0)
        if archive.isTensor(value) {
            try readTensor(value)
            return nil
        }
        if case .global(.foreign(let name)) = value {
            try leaveOut(foreign: name)
            return nil
        }
        guard case .node(let index) = value else { return try scalar(value) }
        guard open.insert(index).inserted else {
            try leaveOut("a container that contains itself", "the container contains itself")
            return nil
        }
        defer { open.remove(index) }
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
        case .call(.complex): return .object([.init("complex", try list(node.items) ?? .array([]))])
        case .call(.sparseTensor): return try sparse(node)
        case .call(.metaTensor):
            return .object([.init("meta", try list(Array(node.items.prefix(2))) ?? .null)])
        case .call(.numpyArray), .call(.numpyScalar): return try numpy(node)
        case .call(.numpyType): return .string(try NumpyPickle(pickle).description(value))
        case .call(let global):
            try leaveOut(foreign: global.name)
            return nil
        case .persistent:
            try addTensor(try name()) { archive, name throws(ExchangeError) in
                try archive.tensor(name, ofStorage: value)
            }
            return nil
        }
    }

    /// Adds a tensor, or leaves it out if it is not supported.
    ///
    /// - Parameters:
    ///   - name: its name.
    ///   - read: reads it.
    /// - Returns: whether it was added.
    @discardableResult
    private mutating func addTensor(
        _ name: String, _ read: (TorchArchive, String) throws(ExchangeError) -> ForeignTensor
    ) throws(ExchangeError) -> Bool {
        do throws(ExchangeError) {
            let tensor = try read(archive, name)
            guard names.insert(ByteName(name)).inserted else {
                throw .refused(pickle.path, "two tensors would have the name \(quoted(name))")
            }
            amount.tensors += 1
            tensors.append(tensor)
            return true
        } catch {
            guard case .refused = error.kind else { throw error }
            guard skipsObjects else {
                throw ExchangeError(
                    error.kind, error.path, error.message, remedy: error.remedy ?? Self.skipRemedy)
            }
            leftOut.append(LeftOut(name: name, error))
            return false
        }
    }

    private mutating func readTensor(_ value: Pickle.Value) throws(ExchangeError) {
        let name = try name()
        let isAdded = try addTensor(name) { archive, name throws(ExchangeError) in
            try archive.tensor(name, value)
        }
        guard isAdded else { return }
        let (node, states) = try archive.unwrapped(name, value)
        var found: [JSONValue.Member] = []
        for state in states {
            // Attributes, or a pair of those in a dictionary and those in slots.
            let parts =
                pickle.node(state)?.kind == .tuple ? pickle.node(state)?.items ?? [] : [state]
            for part in parts where pickle.node(part)?.kind == .dictionary {
                if case .object(let members)? = try dictionary(part) { found += members }
            }
        }
        if node.kind == .call(.quantizedTensor),
            let scheme = try read(node.items[4], at: "quantization")
        {
            found.append(.init("quantization", scheme))
        }
        if !found.isEmpty { attributes.append(.init(name, .object(found))) }
    }

    /// Reads a sparse tensor as the tensors that it consists of.
    private mutating func sparse(_ node: Pickle.Node) throws(ExchangeError) -> JSONValue? {
        guard node.items.count == 2, let data = pickle.node(node.items[1]), data.kind == .tuple
        else {
            throw pickle.error("a sparse tensor lacks its parts")
        }
        let isCoordinates = data.items.count < 4 || !archive.isTensor(data.items[2])
        let names =
            isCoordinates
            ? ["indices", "values"] : ["compressed_indices", "plain_indices", "values"]
        var members = [JSONValue.Member("layout", try read(node.items[0], at: "layout") ?? .null)]
        for (index, item) in data.items.enumerated() {
            let key =
                index < names.count ? names[index] : index == names.count ? "size" : "is_coalesced"
            if let value = try read(item, at: key) { members.append(.init(key, value)) }
        }
        return .object([.init("sparse", .object(members))])
    }

    /// Reads a numpy array or scalar.
    private mutating func numpy(_ node: Pickle.Node) throws(ExchangeError) -> JSONValue? {
        let reader = NumpyPickle(pickle)
        do throws(ExchangeError) {
            let value =
                node.kind == .call(.numpyScalar) ? try reader.scalar(node) : try reader.array(node)
            try count(value.textBytes)
            return value.json
        } catch {
            guard case .refused = error.kind else { throw error }
            let left = LeftOut(name: "", error)
            try leaveOut(left.what, left.what)
            return nil
        }
    }

    private mutating func count(_ bytes: Int) throws(ExchangeError) {
        amount.values += 1
        amount.textBytes += bytes
        guard amount.values <= ExchangeLimits.objectValuesMax,
            amount.tensors <= ExchangeLimits.pickleTensorsMax,
            amount.textBytes <= ExchangeLimits.objectBytesMax
        else {
            throw .refused(
                pickle.path,
                "it expands to too many values: it contains many references to one value")
        }
        guard keys.count <= ExchangeLimits.pickleDepthMax else {
            throw .refused(
                pickle.path,
                "containers are nested more than \(ExchangeLimits.pickleDepthMax) levels deep"
            )
        }
    }

    private func name() throws(ExchangeError) -> String {
        guard keys.reduce(0, { $0 + $1.utf8.count + 1 }) <= Limits.nameBytesMax + 1 else {
            throw .refused(
                pickle.path,
                "tensor \(quoted(keys.last ?? "")): its name must have "
                    + "1 to \(Limits.nameBytesMax) bytes"
            )
        }
        return keys.isEmpty ? "tensor" : keys.joined(separator: ".")
    }

    private mutating func read(_ value: Pickle.Value, at key: String) throws(ExchangeError)
        -> JSONValue?
    {
        keys.append(key)
        defer { keys.removeLast() }
        return try read(value)
    }

    private mutating func dictionary(_ value: Pickle.Value) throws(ExchangeError) -> JSONValue? {
        var members: [JSONValue.Member] = []
        var seen = Set<ByteName>()
        let pairs = try pickle.members(value, "a dictionary")
        for pair in pairs {
            if let name = foreignName(pair.key) {
                keys.append("(a key)")
                defer { keys.removeLast() }
                try leaveOut(foreign: name)
                continue
            }
            let key = try text(ofKey: pair.key)
            try count(key.utf8.count)
            guard seen.insert(ByteName(key)).inserted else {
                throw .refused(pickle.path, "two keys have the text \(quoted(key))")
            }
            if let value = try read(pair.value, at: key) { members.append(.init(key, value)) }
        }
        return members.isEmpty && !pairs.isEmpty ? nil : .object(members)
    }

    /// Returns the name that a foreign value was made with; nil for any other value.
    private func foreignName(_ value: Pickle.Value) -> String? {
        if case .global(.foreign(let name)) = value { return name }
        if case .call(.foreign(let name))? = pickle.node(value)?.kind { return name }
        return nil
    }

    /// Converts a key to text, because the keys of JSON are strings.
    private mutating func text(ofKey key: Pickle.Value) throws(ExchangeError) -> String {
        switch key {
        case .string(let text): return text
        case .node:
            guard pickle.node(key)?.kind == .tuple, let value = try read(key, at: "") else {
                throw pickle.error("a key is not a plain value")
            }
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
    private mutating func joined(_ items: [Pickle.Value], by separator: String)
        throws(ExchangeError) -> JSONValue
    {
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
            let digits = bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }
                .joined()
            return .object([.init("bytes", .string(digits))])
        case .global(.foreign(let name)):
            throw .refused(pickle.path, Pickle.refusal(name), remedy: Self.skipRemedy)
        case .global(let global): return .string(global.name)
        case .node: throw pickle.error("a container is used as a plain value")
        }
    }
}

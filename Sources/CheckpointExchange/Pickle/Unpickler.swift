internal import CheckpointFormat

/// Reader of a pickle (Lib/pickletools.py) as data. Nothing is ever called: a name that is not in
/// `PickleGlobal` ends the read with an error, and a call in the pickle becomes a node that holds
/// the arguments.
struct Unpickler {
    private var reader: ByteReader
    private let path: String
    private var stack: [Pickle.Value] = []
    private var marks: [Int] = []
    private var memo: [Int: Pickle.Value] = [:]
    private var nodes: [Pickle.Node] = []
    private var made = 0

    /// Reads a pickle.
    ///
    /// - Parameters:
    ///   - bytes: the pickle, of protocol 2 to 5.
    ///   - path: the file, for messages.
    /// - Returns: its contents.
    /// - Throws: `ExchangeError` if the pickle is damaged, is more than data, or exceeds a limit.
    static func read(_ bytes: [UInt8], _ path: String) throws(ExchangeError) -> Pickle {
        guard bytes.count <= ExchangeLimits.pickleBytesMax else { throw .refused(path, "a pickle of \(bytes.count) bytes") }
        var unpickler = Unpickler(reader: ByteReader(bytes[...]), path: path)
        do throws(FormatError) {
            let root = try unpickler.run()
            return Pickle(nodes: unpickler.nodes, root: root, path: path)
        } catch {
            throw error.kind == .unsupported
                ? .refused(path, error.message) : .damage(path, "pickle: \(error.message), at byte \(error.offset)")
        }
    }

    private init(reader: ByteReader, path: String) {
        self.reader = reader
        self.path = path
    }

    private func damage(_ message: String) -> FormatError { .damage(at: reader.offset, message) }
    private func refused(_ message: String) -> FormatError { .unsupported(at: reader.offset, message) }
    private var tooMany: FormatError { refused("the pickle makes more values than the limits of this program allow") }

    private mutating func run() throws(FormatError) -> Pickle.Value {
        while true {
            let code = try byte()
            if code == UInt8(ascii: ".") {
                guard stack.count == 1, marks.isEmpty, let root = stack.last else { throw damage("it ends in the middle") }
                return root
            }
            try follow(code)
            guard stack.count + marks.count <= ExchangeLimits.pickleStackMax, nodes.count <= ExchangeLimits.pickleNodesMax,
                memo.count <= ExchangeLimits.pickleMemoMax, made <= ExchangeLimits.pickleValuesMax
            else { throw tooMany }
        }
    }

    private mutating func follow(_ code: UInt8) throws(FormatError) {
        if try scalar(code) { return }
        if try container(code) { return }
        if try memory(code) { return }
        if try naming(code) { return }
        throw try unknown(code)
    }

    // MARK: Stack

    private mutating func byte() throws(FormatError) -> UInt8 { try reader.integer(UInt8.self) }

    private mutating func push(_ value: Pickle.Value) {
        made += 1
        stack.append(value)
    }

    private mutating func pop() throws(FormatError) -> Pickle.Value {
        guard stack.count > marks.last ?? 0, let value = stack.popLast() else { throw damage("the stack is empty") }
        return value
    }

    private mutating func popMark() throws(FormatError) -> [Pickle.Value] {
        guard let mark = marks.popLast() else { throw damage("there is no mark") }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[mark...])
    }

    private mutating func pop(_ count: Int) throws(FormatError) -> [Pickle.Value] {
        guard stack.count - (marks.last ?? 0) >= count else { throw damage("the stack is empty") }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func push(_ kind: Pickle.Node.Kind, _ items: [Pickle.Value]) {
        nodes.append(Pickle.Node(kind: kind, items: items))
        push(.node(nodes.count - 1))
    }

    /// Returns the index of the node at the top of the stack, after the items to add to it have
    /// been popped.
    private func top(_ kinds: [Pickle.Node.Kind]) throws(FormatError) -> Int {
        guard stack.count > marks.last ?? 0, case .node(let index)? = stack.last, kinds.contains(nodes[index].kind) else {
            throw damage("items for what holds none")
        }
        return index
    }

    // MARK: Opcodes

    /// Pushes a value without parts.
    ///
    /// - Returns: false if the opcode is not of this kind.
    private mutating func scalar(_ code: UInt8) throws(FormatError) -> Bool {
        switch code {
        case UInt8(ascii: "N"): push(.none)
        case 0x88: push(.bool(true))
        case 0x89: push(.bool(false))
        case UInt8(ascii: "K"): push(.integer(Int64(try byte())))
        case UInt8(ascii: "M"): push(.integer(Int64(try reader.integer(UInt16.self))))
        case UInt8(ascii: "J"): push(.integer(Int64(Int32(bitPattern: try reader.integer(UInt32.self)))))
        case 0x8A: push(try integer(Int(try byte())))
        case 0x8B: push(try integer(try length(UInt32.self)))
        case UInt8(ascii: "G"): push(.number(Double(bitPattern: try reader.integer(UInt64.self).byteSwapped)))
        case 0x8C, UInt8(ascii: "U"): push(try text(Int(try byte())))
        case UInt8(ascii: "X"), UInt8(ascii: "T"): push(try text(try length(UInt32.self)))
        case 0x8D: push(try text(try length(UInt64.self)))
        case UInt8(ascii: "C"): push(.bytes(Array(try reader.take(Int(try byte())))))
        case UInt8(ascii: "B"): push(.bytes(Array(try reader.take(try length(UInt32.self)))))
        case 0x8E, 0x96: push(.bytes(Array(try reader.take(try length(UInt64.self)))))
        default: return false
        }
        return true
    }

    private mutating func length<T: FixedWidthInteger & UnsignedInteger>(_: T.Type) throws(FormatError) -> Int {
        try reader.count(T.self, atMost: reader.remaining, "a length")
    }

    private mutating func text(_ count: Int) throws(FormatError) -> Pickle.Value {
        let bytes = try reader.take(count)
        if let text = String(validating: bytes, as: UTF8.self) { return .string(text) }
        // Python strings may contain lone surrogates, and are then pickled as bytes that are not
        // valid UTF-8.
        let hasSurrogate = zip(bytes, bytes.dropFirst()).contains { $0 == 0xED && $1 >= 0xA0 }
        throw hasSurrogate ? refused("a string has a lone surrogate, which is no character") : damage("a string is not UTF-8")
    }

    /// Reads a little-endian integer in two's complement.
    private mutating func integer(_ count: Int) throws(FormatError) -> Pickle.Value {
        guard count <= ExchangeLimits.pickleIntegerBytesMax else { throw refused("an integer of \(count) bytes") }
        let bytes = Array(try reader.take(count))
        let isNegative = bytes.last ?? 0 >= 0x80
        guard count > 8 else {
            var value: UInt64 = isNegative ? .max : 0
            for byte in bytes.reversed() { value = value << 8 | UInt64(byte) }
            return .integer(Int64(bitPattern: value))
        }
        var magnitude = bytes
        if isNegative {
            var carry = true
            for index in magnitude.indices {
                magnitude[index] = ~magnitude[index] &+ (carry ? 1 : 0)
                carry = carry && magnitude[index] == 0
            }
        }
        let digits = magnitude.reversed().map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
        return .large((isNegative ? "-0x" : "0x") + digits)
    }

    private mutating func container(_ code: UInt8) throws(FormatError) -> Bool {
        switch code {
        case UInt8(ascii: "("): marks.append(stack.count)
        case UInt8(ascii: ")"): push(.tuple, [])
        case 0x85, 0x86, 0x87: push(.tuple, try pop(Int(code) - 0x84))
        case UInt8(ascii: "t"): push(.tuple, try popMark())
        case UInt8(ascii: "]"): push(.list, [])
        case UInt8(ascii: "l"): push(.list, try popMark())
        case UInt8(ascii: "}"): push(.dictionary, [])
        case UInt8(ascii: "d"): push(.dictionary, try pairs(popMark()))
        case 0x8F: push(.set, [])
        case 0x91: push(.set, try popMark())
        case UInt8(ascii: "a"): try add([pop()], to: [.list])
        case UInt8(ascii: "e"): try add(popMark(), to: [.list])
        case UInt8(ascii: "s"): try add(pop(2), to: [.dictionary])
        case UInt8(ascii: "u"): try add(pairs(popMark()), to: [.dictionary])
        case 0x90: try add(popMark(), to: [.set])
        default: return false
        }
        return true
    }

    private mutating func add(_ items: [Pickle.Value], to kinds: [Pickle.Node.Kind]) throws(FormatError) {
        nodes[try top(kinds)].items += items
    }

    private func pairs(_ items: [Pickle.Value]) throws(FormatError) -> [Pickle.Value] {
        guard items.count % 2 == 0 else { throw damage("a key without a value") }
        return items
    }

    /// Executes opcodes of the memo and the stack, and skips those that frame the pickle.
    ///
    /// - Returns: false if the opcode is not of this kind.
    private mutating func memory(_ code: UInt8) throws(FormatError) -> Bool {
        switch code {
        case 0x80:
            let version = try byte()
            guard (2...5).contains(version) else { throw refused("a pickle of protocol \(version)") }
        case 0x95: _ = try length(UInt64.self)
        case UInt8(ascii: "0"): _ = try pop()
        case UInt8(ascii: "1"): _ = try popMark()
        case UInt8(ascii: "2"): push(try last())
        case 0x94: memo[memo.count] = try last()
        case UInt8(ascii: "q"): memo[Int(try byte())] = try last()
        case UInt8(ascii: "r"): memo[Int(try reader.integer(UInt32.self))] = try last()
        case UInt8(ascii: "h"): push(try recall(Int(try byte())))
        case UInt8(ascii: "j"): push(try recall(Int(try reader.integer(UInt32.self))))
        default: return false
        }
        return true
    }

    private func last() throws(FormatError) -> Pickle.Value {
        guard stack.count > marks.last ?? 0, let value = stack.last else { throw damage("the stack is empty") }
        return value
    }

    private func recall(_ index: Int) throws(FormatError) -> Pickle.Value {
        guard let value = memo[index] else { throw damage("value \(index) was not remembered") }
        return value
    }

    // MARK: Names

    private mutating func naming(_ code: UInt8) throws(FormatError) -> Bool {
        switch code {
        case UInt8(ascii: "c"): push(.global(try global(line(), line())))
        case 0x93:
            let names = try pop(2)
            guard case .string(let module) = names[0], case .string(let name) = names[1] else { throw damage("a name is no string") }
            push(.global(try global(module, name)))
        case UInt8(ascii: "R"): try reduce()
        case 0x81: try instantiate()
        case UInt8(ascii: "b"): try build()
        case UInt8(ascii: "Q"): push(.persistent, [try pop()])
        default: return false
        }
        return true
    }

    private mutating func line() throws(FormatError) -> String {
        var text: [UInt8] = []
        while true {
            let next = try byte()
            if next == UInt8(ascii: "\n") { break }
            text.append(next)
        }
        guard let line = String(validating: text, as: UTF8.self) else { throw damage("a name is not UTF-8") }
        return line
    }

    private func global(_ module: String, _ name: String) throws(FormatError) -> PickleGlobal {
        guard let global = PickleGlobal(module: module, name: name) else { throw call(module, name) }
        return global
    }

    private func call(_ module: String, _ name: String) -> FormatError {
        let called = String(quoted("\(module).\(name)").dropFirst().dropLast())
        let remedy = module.hasPrefix("torch.nn") ? ": of a model, save its state_dict()" : ""
        return refused("the pickle calls \(called), which is not data" + remedy)
    }

    private mutating func reduce() throws(FormatError) {
        let parts = try pop(2)
        guard case .global(let global) = parts[0], global.isCallable, case .node(let index) = parts[1], nodes[index].kind == .tuple else {
            if case .global(let global) = parts[0] { throw refused("the pickle calls \(global.name), which is not data") }
            throw damage("a call of what cannot be called")
        }
        let arguments = nodes[index].items
        switch global {
        case .orderedDict: push(.dictionary, try items(of: arguments, pairwise: true))
        case .set: push(.set, try items(of: arguments, pairwise: false))
        case .bytes: push(try latin1(arguments))
        default: push(.call(global), arguments)
        }
    }

    /// Counts copied values: a few bytes can request the copy of a long list, many times.
    private mutating func countCopied(_ values: Int) throws(FormatError) {
        made += values
        guard made <= ExchangeLimits.pickleValuesMax else { throw tooMany }
    }

    /// Returns the items of a container that is constructed from a list.
    private mutating func items(of arguments: [Pickle.Value], pairwise: Bool) throws(FormatError) -> [Pickle.Value] {
        guard let first = arguments.first else { return [] }
        guard arguments.count == 1, case .node(let index) = first else { throw damage("a container is made of something else than a list") }
        try countCopied(nodes[index].items.count * (pairwise ? 2 : 1))
        guard pairwise else { return nodes[index].items }
        var items: [Pickle.Value] = []
        for pair in nodes[index].items {
            guard case .node(let pair) = pair, nodes[pair].items.count == 2 else { throw damage("a key without a value") }
            items += nodes[pair].items
        }
        return items
    }

    /// Decodes bytes: protocol 2 has no bytes, and stores a string with a call that converts it.
    private mutating func latin1(_ arguments: [Pickle.Value]) throws(FormatError) -> Pickle.Value {
        guard arguments.count == 2, case .string(let text) = arguments[0], case .string("latin1") = arguments[1] else {
            throw refused("the pickle calls _codecs.encode, which is not data")
        }
        try countCopied(text.utf8.count / 16)
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            guard let byte = UInt8(exactly: scalar.value) else { throw damage("bytes beyond 255") }
            bytes.append(byte)
        }
        return .bytes(bytes)
    }

    /// Makes an instance of a class, without its attributes.
    private mutating func instantiate() throws(FormatError) {
        let parts = try pop(2)
        guard case .global(let global) = parts[0], case .node(let index) = parts[1], nodes[index].kind == .tuple else {
            throw damage("an instance of what is no class")
        }
        switch global {
        case .distributed: push(.call(global), nodes[index].items)
        case .orderedDict where nodes[index].items.isEmpty: push(.dictionary, [])
        default: throw refused("the pickle makes an instance of \(global.name), which is not data")
        }
    }

    /// Sets the attributes of an instance. Attributes of a dictionary, which modules leave on their
    /// state, are ignored: they do not concern the tensors.
    private mutating func build() throws(FormatError) {
        let state = try pop()
        guard case .node(let index) = try last() else { throw damage("attributes for what has none") }
        switch nodes[index].kind {
        case .dictionary: break
        case .call(.distributed): nodes[index].state = state
        default: throw refused("the pickle sets attributes of what is not data")
        }
    }

    private mutating func unknown(_ code: UInt8) throws(FormatError) -> FormatError {
        if code == UInt8(ascii: "i") { return call(try line(), try line()) }
        return refused("the pickle uses opcode 0x\(String(code, radix: 16)), which is not data")
    }
}

internal import CheckpointFormat

/// Reader of a pickle (Lib/pickletools.py) as data. Nothing is ever called: a call in the pickle
/// becomes a node that holds the arguments. A name that is foreign to `PickleGlobal` ends the read
/// with an error, or is kept so that only the values made with it can be refused or left out.
struct Unpickler {
    var reader: ByteReader
    private var stack: [Pickle.Value] = []
    private var marks: [Int] = []
    private var memo: [Int: Pickle.Value] = [:]
    var nodes: [Pickle.Node] = []
    var made = 0
    let keepsForeign: Bool
    /// The first foreign name.
    var foreign: String?

    /// Reads a pickle.
    ///
    /// - Parameters:
    ///   - bytes: the pickle, of protocol 2 to 5.
    ///   - path: the file, for messages.
    ///   - keepsForeign: whether foreign names are kept, as data.
    /// - Returns: its contents.
    /// - Throws: `ExchangeError` if the pickle is damaged, is more than data, or exceeds a limit.
    static func read(_ bytes: [UInt8], _ path: String, keepsForeign: Bool = false)
        throws(ExchangeError) -> Pickle
    {
        guard bytes.count <= ExchangeLimits.pickleBytesMax else {
            throw .refused(path, Pickle.tooLong(bytes.count))
        }
        var bytes = bytes[...]
        return try readPrefix(&bytes, path, keepsForeign: keepsForeign)
    }

    /// Reads the first of several pickles that follow each other, and removes it from `bytes`.
    ///
    /// - Parameters:
    ///   - bytes: the pickles.
    ///   - path: the file, for messages.
    ///   - keepsForeign: whether foreign names are kept, as data.
    /// - Returns: the contents of the first pickle.
    /// - Throws: `ExchangeError` if the pickle is damaged, is more than data, or exceeds a limit.
    static func readPrefix(_ bytes: inout ArraySlice<UInt8>, _ path: String, keepsForeign: Bool)
        throws(ExchangeError) -> Pickle
    {
        var unpickler = Unpickler(reader: ByteReader(bytes), keepsForeign)
        do throws(FormatError) {
            let root = try unpickler.run()
            bytes = bytes.suffix(unpickler.reader.remaining)
            return Pickle(
                nodes: unpickler.nodes, root: root, path: path, foreign: unpickler.foreign)
        } catch {
            throw error.kind == .unsupported
                ? .refused(path, error.message)
                : .damage(path, "pickle: \(error.message), at byte \(error.offset)")
        }
    }

    private init(reader: ByteReader, _ keepsForeign: Bool) {
        self.reader = reader
        self.keepsForeign = keepsForeign
    }

    func damage(_ message: String) -> FormatError { .damage(at: reader.offset, message) }
    func refused(_ message: String) -> FormatError {
        .unsupported(at: reader.offset, message)
    }
    var tooMany: FormatError {
        refused("the pickle has more values than ckpt supports")
    }

    private mutating func run() throws(FormatError) -> Pickle.Value {
        while true {
            let code = try byte()
            if code == UInt8(ascii: ".") {
                guard stack.count == 1, marks.isEmpty, let root = stack.last else {
                    throw damage("it ends before its value is complete")
                }
                return root
            }
            try follow(code)
            guard stack.count + marks.count <= ExchangeLimits.pickleStackMax,
                nodes.count <= ExchangeLimits.pickleNodesMax,
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

    mutating func byte() throws(FormatError) -> UInt8 { try reader.integer(UInt8.self) }

    mutating func push(_ value: Pickle.Value) {
        made += 1
        stack.append(value)
    }

    mutating func pop() throws(FormatError) -> Pickle.Value {
        guard stack.count > marks.last ?? 0, let value = stack.popLast() else {
            throw damage("an operation needs more values than the stack has")
        }
        return value
    }

    mutating func popMark() throws(FormatError) -> [Pickle.Value] {
        guard let mark = marks.popLast() else {
            throw damage("an operation needs a mark, and there is none")
        }
        defer { stack.removeSubrange(mark...) }
        return Array(stack[mark...])
    }

    mutating func pop(_ count: Int) throws(FormatError) -> [Pickle.Value] {
        guard stack.count - (marks.last ?? 0) >= count else {
            throw damage("an operation needs more values than the stack has")
        }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    mutating func push(_ kind: Pickle.Node.Kind, _ items: [Pickle.Value]) {
        nodes.append(Pickle.Node(kind: kind, items: items))
        push(.node(nodes.count - 1))
    }

    /// Returns the index of the node at the top of the stack, after the items to add to it have
    /// been popped.
    func top(_ kinds: [Pickle.Node.Kind]) throws(FormatError) -> Int {
        guard stack.count > marks.last ?? 0, case .node(let index)? = stack.last,
            kinds.contains(nodes[index].kind)
        else {
            throw damage("items are added to a value that is not a container")
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
        case UInt8(ascii: "J"):
            push(.integer(Int64(Int32(bitPattern: try reader.integer(UInt32.self)))))
        case 0x8A: push(try integer(Int(try byte())))
        case 0x8B: push(try integer(try length(UInt32.self)))
        case UInt8(ascii: "G"):
            push(.number(Double(bitPattern: try reader.integer(UInt64.self).byteSwapped)))
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

    private mutating func length<T: FixedWidthInteger & UnsignedInteger>(_: T.Type)
        throws(FormatError) -> Int
    {
        try reader.count(T.self, atMost: reader.remaining, "the length of a value")
    }

    private mutating func text(_ count: Int) throws(FormatError) -> Pickle.Value {
        let bytes = try reader.take(count)
        if let text = String(validating: bytes, as: UTF8.self) { return .string(text) }
        // Python strings may contain lone surrogates, and are then pickled as bytes that are not
        // valid UTF-8.
        let hasSurrogate = zip(bytes, bytes.dropFirst()).contains { $0 == 0xED && $1 >= 0xA0 }
        throw hasSurrogate
            ? refused("a string has a lone surrogate, which is not a character")
            : damage("a string is not UTF-8")
    }

    /// Reads a little-endian integer in two's complement.
    private mutating func integer(_ count: Int) throws(FormatError) -> Pickle.Value {
        guard count <= ExchangeLimits.pickleIntegerBytesMax else {
            throw refused(
                "an integer has \(count) bytes, more than \(ExchangeLimits.pickleIntegerBytesMax)")
        }
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
        let digits = magnitude.reversed().map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
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

    private mutating func add(_ items: [Pickle.Value], to kinds: [Pickle.Node.Kind])
        throws(FormatError)
    {
        // The contents of an instance of a foreign class are left out with it.
        if stack.count > marks.last ?? 0, case .node(let index)? = stack.last,
            case .call(.foreign) = nodes[index].kind
        {
            return
        }
        nodes[try top(kinds)].items += items
    }

    private func pairs(_ items: [Pickle.Value]) throws(FormatError) -> [Pickle.Value] {
        guard items.count % 2 == 0 else { throw damage("a key has no value") }
        return items
    }

    /// Executes opcodes of the memo and the stack, and skips those that frame the pickle.
    ///
    /// - Returns: false if the opcode is not of this kind.
    private mutating func memory(_ code: UInt8) throws(FormatError) -> Bool {
        switch code {
        case 0x80:
            let version = try byte()
            guard (2...5).contains(version) else {
                throw refused("pickle protocol \(version); ckpt reads protocols 2 to 5")
            }
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

    func last() throws(FormatError) -> Pickle.Value {
        guard stack.count > marks.last ?? 0, let value = stack.last else {
            throw damage("an operation needs more values than the stack has")
        }
        return value
    }

    private func recall(_ index: Int) throws(FormatError) -> Pickle.Value {
        guard let value = memo[index] else {
            throw damage("value \(index) is used, but was never stored")
        }
        return value
    }
}

/// The contents of a pickle as data. Values are in one flat array and refer to each other by index,
/// so that a deep or circular pickle makes no deep or circular structure here.
struct Pickle: Sendable {
    enum Value: Sendable {
        case none
        case bool(Bool)
        case integer(Int64)
        /// An integer that does not fit in 64 bits, in hexadecimal.
        case large(String)
        case number(Double)
        case string(String)
        case bytes([UInt8])
        case global(PickleGlobal)
        case node(Int)
    }

    struct Node: Sendable {
        enum Kind: Sendable, Equatable {
            case list, tuple, set
            /// Keys and values alternate.
            case dictionary
            /// A call of a global name; the items are its arguments.
            case call(PickleGlobal)
            /// A reference to something outside the pickle.
            case persistent
        }

        var kind: Kind
        var items: [Value]
        var state: Value?
    }

    let nodes: [Node]
    let root: Value
    /// The file, for messages.
    let path: String
    /// The first foreign name in the pickle, whether or not a value is made with it.
    let foreign: String?

    /// Returns the reason for which a value made with a foreign name is refused.
    ///
    /// - Parameter name: module and name, untrusted.
    static func refusal(_ name: String) -> String {
        let called = String(quoted(name).dropFirst().dropLast())
        let remedy =
            name.hasPrefix("torch.nn") ? ": save the state_dict() of a model, not the model" : ""
        return "the pickle calls \(called), which is not data" + remedy
    }

    /// The message about a pickle of more bytes than are read.
    static func tooLong(_ count: Int) -> String {
        "the pickle has \(count) bytes, more than \(ExchangeLimits.pickleBytesMax)"
    }

    func error(_ message: String) -> ExchangeError { .damage(path, "pickle: " + message) }

    func node(_ value: Value?) -> Node? {
        if case .node(let index)? = value { nodes[index] } else { nil }
    }

    /// Returns the keys and values of a dictionary.
    ///
    /// - Parameters:
    ///   - value: the dictionary.
    ///   - what: its name in error messages.
    /// - Returns: the pairs, in order.
    /// - Throws: `ExchangeError` if the value is not a dictionary.
    func members(_ value: Value?, _ what: String) throws(ExchangeError) -> [(
        key: Value, value: Value
    )] {
        guard let node = node(value), node.kind == .dictionary else {
            throw error("\(what) is not a dictionary")
        }
        return stride(from: 0, to: node.items.count, by: 2).map {
            (node.items[$0], node.items[$0 + 1])
        }
    }

    func string(_ value: Value?, _ what: String) throws(ExchangeError) -> String {
        guard case .string(let text)? = value else { throw error("\(what) is not a string") }
        return text
    }

    func integer(_ value: Value?, _ what: String) throws(ExchangeError) -> Int {
        guard case .integer(let integer)? = value else { throw error("\(what) is not an integer") }
        return Int(integer)
    }

    /// Returns the elements of a tuple, a list or a `torch.Size` of integers.
    ///
    /// - Parameters:
    ///   - value: the container.
    ///   - what: its name in error messages.
    /// - Returns: the integers, in order.
    /// - Throws: `ExchangeError` if the value is another container, or an element is not an
    ///   integer.
    func integers(_ value: Value?, _ what: String) throws(ExchangeError) -> [Int] {
        guard var node = node(value) else { throw error("\(what) is not a tuple") }
        if node.kind == .call(.size), let inner = self.node(node.items.first) { node = inner }
        guard node.kind == .tuple || node.kind == .list else {
            throw error("\(what) is not a tuple")
        }
        var integers: [Int] = []
        for item in node.items { integers.append(try integer(item, what)) }
        return integers
    }

    /// Returns the attributes of an instance of a class of PyTorch.
    ///
    /// - Parameters:
    ///   - value: the instance.
    ///   - kind: the expected class.
    /// - Returns: the attributes, by name.
    /// - Throws: `ExchangeError` if the value is not an instance of that class.
    func attributes(
        _ value: Value?, _ kind: PickleGlobal.Distributed
    ) throws(ExchangeError) -> [String: Value] {
        guard let node = node(value), node.kind == .call(.distributed(kind)) else {
            throw error("it does not contain a \(kind.rawValue)")
        }
        var attributes: [String: Value] = [:]
        for (key, value) in try members(node.state, "the state of \(kind.rawValue)") {
            attributes[try string(key, "an attribute of \(kind.rawValue)")] = value
        }
        return attributes
    }
}

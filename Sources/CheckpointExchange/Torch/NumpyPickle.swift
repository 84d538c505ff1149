internal import CheckpointFormat

/// Arrays and scalars of numpy inside a pickle, such as the state of its random generator, as
/// values.
struct NumpyPickle {
    private let pickle: Pickle

    init(_ pickle: Pickle) { self.pickle = pickle }

    /// A value, and how much text it makes.
    struct Value {
        var json: JSONValue
        var textBytes: Int
    }

    /// Returns the description of an element type, such as `<f8`.
    ///
    /// - Parameter value: a call of `numpy.dtype`.
    /// - Throws: `ExchangeError` of kind `refused` for types with parts, objects, and big-endian
    ///   elements.
    func description(_ value: Pickle.Value) throws(ExchangeError) -> String {
        guard let node = pickle.node(value), node.kind == .call(.numpyType),
            case .string(let name)? = node.items.first
        else {
            throw pickle.error("a NumPy array has no element type")
        }
        var order = "|"
        if let state = pickle.node(node.state), state.items.count > 1,
            case .string(let given) = state.items[1]
        {
            order = given
        }
        let isNumber =
            "fiubcV".contains(name.prefix(1)) && !name.isEmpty
            && name.dropFirst().allSatisfy(\.isNumber)
        guard isNumber, order != ">" else {
            throw .refused(
                pickle.path,
                "a NumPy array of element type \(quoted(order + name)) is not a plain value")
        }
        return (order == "=" ? "<" : order) + name
    }

    /// Returns an array as its element type, shape and bytes in hexadecimal digits.
    ///
    /// - Parameter node: a call of `_reconstruct` with the array's state.
    /// - Throws: `ExchangeError` if the array is damaged, or its type not supported.
    func array(_ node: Pickle.Node) throws(ExchangeError) -> Value {
        guard let state = pickle.node(node.state), state.items.count == 5 else {
            throw pickle.error("a NumPy array has no state")
        }
        let shape = try pickle.integers(state.items[1], "the shape of a NumPy array")
        let type = try description(state.items[2])
        guard case .bytes(let bytes) = state.items[4] else {
            throw .refused(pickle.path, "a NumPy array of objects is not a plain value")
        }
        var members: [JSONValue.Member] = [
            .init("dtype", .string(type)), .init("shape", .counts(shape)),
        ]
        if case .bool(true) = state.items[3] { members.append(.init("fortran_order", .bool(true))) }
        members.append(.init("bytes", .string(hexadecimal(bytes[...]))))
        return Value(json: .object([.init("numpy", .object(members))]), textBytes: bytes.count * 2)
    }

    /// Returns a scalar as a number, or like an array if JSON cannot represent it.
    ///
    /// - Parameter node: a call of `scalar`.
    /// - Throws: `ExchangeError` if the scalar is damaged, or its type not supported.
    func scalar(_ node: Pickle.Node) throws(ExchangeError) -> Value {
        guard node.items.count == 2, case .bytes(let bytes) = node.items[1], bytes.count <= 64
        else {
            throw .refused(pickle.path, "a NumPy scalar of objects is not a plain value")
        }
        let type = try description(node.items[0])
        let json =
            number(type.dropFirst(), bytes)
            ?? .object([
                .init(
                    "numpy",
                    .object([
                        .init("dtype", .string(type)),
                        .init("bytes", .string(hexadecimal(bytes[...]))),
                    ]))
            ])
        return Value(json: json, textBytes: bytes.count * 2)
    }

    private func number(_ type: Substring, _ bytes: [UInt8]) -> JSONValue? {
        guard let kind = type.first, let width = Int(type.dropFirst()), width == bytes.count,
            width <= 8
        else { return nil }
        let bits = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        switch (kind, width) {
        case ("f", 8): return .metric(Double(bitPattern: bits))
        case ("f", 4): return .metric(Double(Float(bitPattern: UInt32(bits))))
        case ("f", 2): return .metric(Double(Float16(bitPattern: UInt16(bits))))
        case ("b", 1): return .bool(bits != 0)
        case ("u", _): return Int64(exactly: bits).map { .integer($0) }
        case ("i", 1...8):
            return .integer(
                Int64(bitPattern: bits << UInt64(64 - 8 * width)) >> Int64(64 - 8 * width))
        default: return nil
        }
    }
}

/// Returns bytes as hexadecimal digits.
func hexadecimal(_ bytes: ArraySlice<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
    return String(decoding: text, as: UTF8.self)
}

internal import CheckpointFormat

// Names in a pickle, and the calls and instances that it makes with them, as data.
extension Unpickler {
    mutating func naming(_ code: UInt8) throws(FormatError) -> Bool {
        switch code {
        case UInt8(ascii: "c"): push(.global(try global(line(), line())))
        case 0x93:
            let names = try pop(2)
            guard case .string(let module) = names[0], case .string(let name) = names[1] else {
                throw damage("the name of a class or function is not a string")
            }
            push(.global(try global(module, name)))
        case UInt8(ascii: "R"): try reduce()
        case 0x81: try instantiate()
        case 0x92:
            _ = try pop()
            try instantiate()
        case UInt8(ascii: "b"): try build()
        case UInt8(ascii: "Q"): push(.persistent, [try pop()])
        default: return false
        }
        return true
    }

    mutating func line() throws(FormatError) -> String {
        var text: [UInt8] = []
        while true {
            let next = try byte()
            if next == UInt8(ascii: "\n") { break }
            text.append(next)
        }
        guard let line = String(validating: text, as: UTF8.self) else {
            throw damage("the name of a class or function is not UTF-8")
        }
        return line
    }

    private mutating func global(_ module: String, _ name: String) throws(FormatError)
        -> PickleGlobal
    {
        if let global = PickleGlobal(module: module, name: name) { return global }
        return try kept("\(module).\(name)")
    }

    /// Returns a foreign name as data.
    ///
    /// - Throws: `FormatError` if foreign names are not kept.
    private mutating func kept(_ name: String) throws(FormatError) -> PickleGlobal {
        guard keepsForeign else { throw refused(Pickle.refusal(name)) }
        foreign = foreign ?? name
        return .foreign(name)
    }

    private mutating func reduce() throws(FormatError) {
        let parts = try pop(2)
        guard case .node(let index) = parts[1], nodes[index].kind == .tuple else {
            throw damage("a call has no tuple of arguments")
        }
        let arguments = nodes[index].items
        let global = try callee(parts[0])
        guard global.isCallable else { return try pushForeign(global, arguments) }
        switch global {
        case .orderedDict: push(.dictionary, try items(of: arguments, pairwise: true))
        case .counter: push(.dictionary, try counts(arguments))
        case .defaultDict: push(.dictionary, [])
        case .set: push(.set, try items(of: arguments, pairwise: false))
        case .bytes:
            guard arguments.count == 2, case .string(let text) = arguments[0],
                case .string("latin1") = arguments[1]
            else {
                return try pushForeign(.foreign("_codecs.encode"), [])
            }
            push(.bytes(try latin1(text)))
        case .byteArray: push(.bytes(try byteArray(arguments)))
        case .attribute:
            guard arguments.count == 2, case .global(.distributed(.memoryFormat)) = arguments[0],
                case .string = arguments[1]
            else {
                return try pushForeign(global, [])
            }
            push(.call(.distributed(.memoryFormat)), [arguments[1]])
        default: push(.call(global), arguments)
        }
    }

    private func callee(_ value: Pickle.Value) throws(FormatError) -> PickleGlobal {
        if case .global(let global) = value { return global }
        // The result of a foreign function is also foreign.
        if case .node(let index) = value, case .call(.foreign(let name)) = nodes[index].kind {
            return .foreign(name)
        }
        throw damage("it calls a value that is not a function")
    }

    /// Pushes what a foreign function would return, or a constructor of an instance would make.
    private mutating func pushForeign(_ global: PickleGlobal, _ arguments: [Pickle.Value])
        throws(FormatError)
    {
        var name = global.name
        // These make an instance of the class that is their first argument.
        if ["copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj_ex__"].contains(
            name), case .global(let made)? = arguments.first
        {
            name = made.name
        }
        push(.call(try kept(name)), [])
    }

    /// Counts copied values: a few bytes can request the copy of a long list, many times.
    private mutating func countCopied(_ values: Int) throws(FormatError) {
        made += values
        guard made <= ExchangeLimits.pickleValuesMax else { throw tooMany }
    }

    /// Returns the items of a container that is constructed from a list.
    private mutating func items(of arguments: [Pickle.Value], pairwise: Bool) throws(FormatError)
        -> [Pickle.Value]
    {
        guard let first = arguments.first else { return [] }
        guard arguments.count == 1, case .node(let index) = first else {
            throw damage("it builds a set or tuple from a value that is not a list")
        }
        try countCopied(nodes[index].items.count * (pairwise ? 2 : 1))
        guard pairwise else { return nodes[index].items }
        var items: [Pickle.Value] = []
        for pair in nodes[index].items {
            guard case .node(let pair) = pair, nodes[pair].items.count == 2 else {
                throw damage("a key has no value")
            }
            items += nodes[pair].items
        }
        return items
    }

    /// Returns the items of a `Counter`, which is made from a dictionary.
    private mutating func counts(_ arguments: [Pickle.Value]) throws(FormatError) -> [Pickle.Value]
    {
        guard let first = arguments.first else { return [] }
        guard arguments.count == 1, case .node(let index) = first, nodes[index].kind == .dictionary
        else {
            throw damage("it builds a Counter from a value that is not a dictionary")
        }
        try countCopied(nodes[index].items.count)
        return nodes[index].items
    }

    /// Returns the bytes of a `bytearray`, which is made from bytes, or from text and its encoding.
    private mutating func byteArray(_ arguments: [Pickle.Value]) throws(FormatError) -> [UInt8] {
        switch arguments.first {
        case nil: return []
        case .bytes(let bytes) where arguments.count == 1:
            try countCopied(bytes.count / 16)
            return bytes
        case .string(let text) where arguments.count == 2: return try latin1(text)
        default: throw damage("it builds a bytearray from a value that is not bytes")
        }
    }

    /// Decodes bytes: protocol 2 has no bytes, and stores a string with a call that converts it.
    private mutating func latin1(_ text: String) throws(FormatError) -> [UInt8] {
        try countCopied(text.utf8.count / 16)
        var bytes: [UInt8] = []
        for scalar in text.unicodeScalars {
            guard let byte = UInt8(exactly: scalar.value) else {
                throw damage("it builds bytes from a string with characters beyond 255")
            }
            bytes.append(byte)
        }
        return bytes
    }

    /// Makes an instance of a class, without its attributes.
    private mutating func instantiate() throws(FormatError) {
        let parts = try pop(2)
        guard case .global(let global) = parts[0], case .node(let index) = parts[1],
            nodes[index].kind == .tuple
        else {
            throw damage("it makes an instance of a value that is not a class")
        }
        switch global {
        case .distributed: push(.call(global), nodes[index].items)
        case .orderedDict where nodes[index].items.isEmpty: push(.dictionary, [])
        default: try pushForeign(global, [])
        }
    }

    /// Sets the attributes of an instance. Attributes of a dictionary, which modules leave on their
    /// state, are ignored: they do not concern the tensors.
    private mutating func build() throws(FormatError) {
        let state = try pop()
        guard case .node(let index) = try last() else {
            throw damage("it sets attributes of a value that has none")
        }
        switch nodes[index].kind {
        case .dictionary, .call(.foreign): break
        case .call(.distributed), .call(.numpyArray), .call(.numpyType): nodes[index].state = state
        default: throw refused("the pickle sets attributes of a value that is not data")
        }
    }

    mutating func unknown(_ code: UInt8) throws(FormatError) -> FormatError {
        if code == UInt8(ascii: "i") {
            return refused(Pickle.refusal("\(try line()).\(try line())"))
        }
        return refused("the pickle uses opcode 0x\(String(code, radix: 16)), which is not data")
    }
}
